// What completes the words of an alpa command line in a shell.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace alpa::cli {

// A script for `shell` ("bash", "zsh", "fish"): commands, options, their values, clusters, files.
std::string CompletionScript(const CLI::App& app, const std::string& shell);

}  // namespace alpa::cli
