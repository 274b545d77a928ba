#include "completion.h"

#include <fmt/format.h>

#include <vector>

#include "help.h"

namespace alpa::cli {
namespace {

// Prints the names of known clusters, one a line.
constexpr const char* kClusters = "alpa clusters 2>/dev/null | awk 'NF == 0 {exit} {print $1}'";

std::string Joined(const std::vector<std::string>& words, const char* between = " ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

// "--mesh", "-o", "--out".
std::vector<std::string> NamesOf(const CLI::Option& option) {
  std::vector<std::string> out;
  for (const std::string& name : option.get_snames()) out.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) out.push_back("--" + name);
  return out;
}

bool IsFlag(const CLI::Option& option) { return option.get_items_expected_max() == 0; }
bool IsCluster(const CLI::Option& option) { return option.check_lname("cluster") || option.get_name() == "CLUSTER"; }

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* command : CommandsOf(app)) out.push_back(command->get_name());
  return out;
}

std::string Bash(const CLI::App& app) {
  std::string values, options, positionals;
  for (const CLI::App* command : CommandsOf(app)) {
    std::vector<std::string> names = {"--help"};
    for (const CLI::Option* option : OptionsOf(*command)) {
      const std::vector<std::string> of_option = NamesOf(*option);
      const std::vector<std::string> words = ValuesOf(*option);
      if (option->get_positional()) {
        if (IsCluster(*option)) positionals += fmt::format("    {}) words=$({}) ;;\n", command->get_name(), kClusters);
        if (!words.empty()) positionals += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), Joined(words));
        continue;
      }
      names.insert(names.end(), of_option.begin(), of_option.end());
      if (words.empty() && !IsCluster(*option)) continue;
      for (const std::string& name : of_option)
        values += fmt::format("    \"{} {}\") words={} ;;\n", command->get_name(), name,
                              words.empty() ? fmt::format("$({})", kClusters) : fmt::format("\"{}\"", Joined(words)));
    }
    options += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), Joined(names));
  }
  return fmt::format(R"(# Completion of alpa for bash; in ~/.bashrc: source <(alpa completion bash)
_alpa() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev= command= word words=
  ((COMP_CWORD > 1)) && prev=${{COMP_WORDS[COMP_CWORD - 1]}}
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    if [[ " {0} " == *" $word "* ]]; then command=$word; break; fi
  done
  COMPREPLY=()
  if [[ -z $command ]]; then
    COMPREPLY=($(compgen -W "{0} --help --version" -- "$cur"))
    return
  fi
  case "$command $prev" in
{1}  esac
  if [[ -z $words && $cur == -* ]]; then
    case $command in
{2}    esac
  elif [[ -z $words && $prev != -* ]]; then
    case $command in
{3}    esac
  fi
  [[ -z $words ]] || COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _alpa alpa
)",
                     Joined(CommandNames(app)), values, options, positionals);
}

// Text in single quotes for _arguments, whose brackets and colons mean something.
std::string ZshText(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '[' || c == ']' || c == ':' || c == '\\') {
      out += std::string("\\") + c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string ZshAction(const CLI::Option& option) {
  const std::vector<std::string> values = ValuesOf(option);
  if (!values.empty()) return "(" + Joined(values) + ")";
  return IsCluster(option) ? "_alpa_clusters" : "_files";
}

std::string Zsh(const CLI::App& app) {
  std::string commands, cases;
  for (const CLI::App* command : CommandsOf(app)) {
    commands += fmt::format("    '{}:{}'\n", command->get_name(), ZshText(command->get_description()));
    cases += fmt::format("    {})\n      _arguments '--help[help]'", command->get_name());
    for (const CLI::Option* option : OptionsOf(*command)) {
      if (option->get_positional()) {
        cases += fmt::format(" \\\n        '*:{}:{}'", option->get_name(), ZshAction(*option));
        continue;
      }
      for (const std::string& name : NamesOf(*option))
        cases += fmt::format(" \\\n        '{}[{}]{}'", name, ZshText(option->get_description()),
                             IsFlag(*option) ? "" : ": :" + ZshAction(*option));
    }
    cases += "\n      ;;\n";
  }
  return fmt::format(R"ZSH(#compdef alpa
# Completion of alpa for zsh; in ~/.zshrc behind compinit: source <(alpa completion zsh)
_alpa_clusters() {{
  local -a names
  names=(${{(f)"$({0})"}})
  compadd -a names
  _files
}}
_alpa() {{
  local -a commands
  commands=(
{1}  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
{2}  esac
}}
compdef _alpa alpa
)ZSH",
                     kClusters, commands, cases);
}

std::string FishText(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "'";
}

std::string Fish(const CLI::App& app) {
  std::string out = "# Completion of alpa for fish: alpa completion fish > ~/.config/fish/completions/alpa.fish\n";
  for (const CLI::App* command : CommandsOf(app))
    out += fmt::format("complete -c alpa -n __fish_use_subcommand -f -a {} -d {}\n", command->get_name(),
                       FishText(command->get_description()));
  for (const CLI::App* command : CommandsOf(app)) {
    const std::string when = fmt::format("complete -c alpa -n '__fish_seen_subcommand_from {}'", command->get_name());
    for (const CLI::Option* option : OptionsOf(*command)) {
      const std::vector<std::string> values = ValuesOf(*option);
      const std::string what = !values.empty()      ? " -x -a " + FishText(Joined(values))
                               : IsCluster(*option) ? fmt::format(" -a {}", FishText(fmt::format("({})", kClusters)))
                                                    : std::string();
      if (option->get_positional()) {
        if (!what.empty()) out += when + what + "\n";
        continue;
      }
      out += when;
      for (const std::string& name : option->get_snames()) out += " -s " + name;
      for (const std::string& name : option->get_lnames()) out += " -l " + name;
      if (!IsFlag(*option) && values.empty()) out += " -r";
      out += what + " -d " + FishText(option->get_description()) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string CompletionScript(const CLI::App& app, const std::string& shell) {
  return shell == "zsh" ? Zsh(app) : shell == "fish" ? Fish(app) : Bash(app);
}

}  // namespace alpa::cli
