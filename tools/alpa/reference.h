// docs/cli.md.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace alpa::cli {

// All commands with their options and examples, as Markdown.
std::string Reference(const CLI::App& app);

}  // namespace alpa::cli
