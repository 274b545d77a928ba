#include "help.h"

#include <fmt/format.h>

#include <sstream>

namespace alpa::cli {
namespace {

constexpr size_t kWidth = 100;

// `text` in lines of at most `width`, broken between words.
std::string Wrapped(const std::string& text, size_t width) {
  std::istringstream in(text);
  std::string out;
  size_t length = 0;
  for (std::string word; in >> word;) {
    if (length > 0 && length + 1 + word.size() > width) {
      out += "\n";
      length = 0;
    }
    if (length > 0) out += " ";
    length += (length > 0 ? 1 : 0) + word.size();
    out += word;
  }
  return out;
}

}  // namespace

std::vector<const CLI::App*> CommandsOf(const CLI::App& app) {
  std::vector<const CLI::App*> out;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) out.push_back(command);
  }
  return out;
}

std::vector<const CLI::Option*> OptionsOf(const CLI::App& command) {
  std::vector<const CLI::Option*> out;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty() || option->check_lname("help") || option->check_lname("help-all")) continue;
    out.push_back(option);
  }
  return out;
}

std::vector<std::string> ValuesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();  // "TEXT:{a,b}"
  const size_t begin = type.find('{'), end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return {};
  std::vector<std::string> values(1);
  for (const char c : type.substr(begin + 1, end - begin - 1)) {
    if (c == ',') {
      values.emplace_back();
    } else {
      values.back() += c;
    }
  }
  return values;
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  if (app->get_parent() != nullptr || mode != CLI::AppFormatMode::Normal)
    return CLI::Formatter::make_help(app, std::move(name), mode);
  std::string out = Wrapped(app->get_description(), 79) + "\n\nusage: alpa COMMAND [OPTIONS]\n\n";
  for (const CLI::App* command : CommandsOf(*app))
    out += fmt::format("  {:<11} {}\n", command->get_name(), command->get_description());
  return out + "\n" + app->get_footer() + "\n";
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::ostringstream out;
  CLI::detail::format_help(out, make_option_name(option, is_positional) + make_option_opts(option),
                           Wrapped(make_option_desc(option), kWidth - column_width_), column_width_);
  return out.str();
}

}  // namespace alpa::cli
