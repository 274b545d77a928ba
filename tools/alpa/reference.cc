#include "reference.h"

#include <fmt/format.h>

#include <vector>

#include "help.h"

namespace alpa::cli {
namespace {

// As a cell of a table.
std::string Cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : c == '<' ? "&lt;" : std::string(1, c);
  return out;
}

std::string Names(const CLI::Option& option) {
  std::string out;
  if (option.get_positional()) {
    out = "`" + option.get_name() + "`";
    return option.get_items_expected_max() > 1 ? out + " ..." : out;
  }
  for (const std::string& name : option.get_snames()) out += (out.empty() ? "`-" : ", `-") + name + "`";
  for (const std::string& name : option.get_lnames()) out += (out.empty() ? "`--" : ", `--") + name + "`";
  return out;
}

// "FLOAT:POSITIVE" -> "number above 0".
std::string Type(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  if (const std::vector<std::string> values = ValuesOf(option); !values.empty()) {
    std::string out;
    for (const std::string& value : values) out += (out.empty() ? "`" : ", `") + value + "`";
    return out;
  }
  const std::string type = option.get_type_name();
  const size_t colon = type.find(':');
  const std::string base = type.substr(0, colon);
  const std::string check = colon == std::string::npos ? "" : type.substr(colon + 1);
  std::string out = base == "TEXT"                    ? "text"
                    : base == "INT" || base == "UINT" ? "whole number"
                    : base == "FLOAT"                 ? "number"
                                                      : base;
  if (check == "POSITIVE") out += " above 0";
  if (check == "NONNEGATIVE") out += ", 0 or above";
  if (const size_t range = check.find(" in ["); range != std::string::npos) {
    const std::string ends = check.substr(range + 5, check.find(']') - range - 5);
    const size_t dash = ends.find(" - ");
    out += " from " + ends.substr(0, dash) + " to " + ends.substr(dash + 3);
  }
  return out;
}

}  // namespace

std::string Reference(const CLI::App& app) {
  std::string out =
      "# Commands\n\nMade from the program: `alpa --reference > docs/cli.md`. Bad input ends with exit status 2 and a "
      "message "
      "that\nnames the place; nothing is written then.\n\n";
  for (const CLI::App* command : CommandsOf(app))
    out += fmt::format("* [alpa {0}](#alpa-{0}): {1}\n", command->get_name(), Cell(command->get_description()));
  for (const CLI::App* command : CommandsOf(app)) {
    out += fmt::format("\n## alpa {}\n\n{}\n\n", command->get_name(), command->get_description());
    out += "```\n" + command->get_footer() + "\n```\n\n";
    const std::vector<const CLI::Option*> options = OptionsOf(*command);
    if (options.empty()) continue;
    out += "| option | value | default | meaning |\n|---|---|---|---|\n";
    for (const CLI::Option* option : options) {
      const std::string standard = option->get_default_str();
      out += fmt::format("| {} | {} | {} | {} |\n", Names(*option), Cell(Type(*option)),
                         option->get_required() ? "needed"
                         : standard.empty()     ? ""
                                                : "`" + Cell(standard) + "`",
                         Cell(option->get_description()));
    }
  }
  return out;
}

}  // namespace alpa::cli
