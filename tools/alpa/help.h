// How alpa shows its help.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace alpa::cli {

// The commands of `app` that people see, in their order.
std::vector<const CLI::App*> CommandsOf(const CLI::App& app);
// The options and positionals of a command that people see, without --help and --help-all.
std::vector<const CLI::Option*> OptionsOf(const CLI::App& command);
// The values that an option is restricted to; empty: any.
std::vector<std::string> ValuesOf(const CLI::Option& option);

// Lines of at most 100 letters; the program's own help fits a screen of 80 x 24.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
};

}  // namespace alpa::cli
