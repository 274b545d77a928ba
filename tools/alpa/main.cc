// The command line of alpa: reads options, calls the driver, prints its errors.
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGXFSZ is POSIX

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "alpa/base/result.h"
#include "alpa/driver/clusters.h"
#include "alpa/driver/compare.h"
#include "alpa/driver/demo.h"
#include "alpa/driver/doctor.h"
#include "alpa/driver/explain.h"
#include "alpa/driver/inspect.h"
#include "alpa/driver/plan.h"
#include "alpa/driver/profile.h"
#include "alpa/driver/report.h"
#include "alpa/driver/run.h"
#include "alpa/driver/serve.h"
#include "alpa/driver/simulate.h"
#include "alpa/driver/solve.h"
#include "alpa/driver/verify.h"
#include "alpa/driver/version.h"
#include "completion.h"
#include "help.h"
#include "reference.h"

namespace {

using alpa::driver::ClustersOptions;
using alpa::driver::CompareOptions;
using alpa::driver::DemoOptions;
using alpa::driver::DoctorOptions;
using alpa::driver::ExplainOptions;
using alpa::driver::GateOptions;
using alpa::driver::InspectOptions;
using alpa::driver::LoadOptions;
using alpa::driver::PlanOptions;
using alpa::driver::ProfileOptions;
using alpa::driver::ReportOptions;
using alpa::driver::RunOptions;
using alpa::driver::ServeOptions;
using alpa::driver::SimulateOptions;
using alpa::driver::SolveCommand;
using alpa::driver::VerifyOptions;

const CLI::Range kDeviceCount(int64_t{1}, alpa::driver::kMostDevices);

void AddLoad(CLI::App* app, LoadOptions* load) {
  app->add_option("--batch-args", load->batch_args, "which inputs are the batch, e.g. 3,4; all others are state")
      ->delimiter(',');
  app->add_option("--batch-dim", load->batch_dim, "dimension of the batch in the batch inputs (default: found out)");
  app->add_option("--unroll", load->max_unrolled_ops, "counted loops grow to at most this many operations")
      ->capture_default_str();
}

void AddModel(CLI::App* app, LoadOptions* load) {
  app->add_option("MODEL", load->model, "training step: StableHLO text or bytecode, HLO text or proto, also .gz")
      ->required();
  AddLoad(app, load);
}

void AddGate(CLI::App* app, GateOptions* gate, std::string* stop_after) {
  app->add_option("--dump-dir", gate->dump_dir, "write what each phase produces into this folder");
  app->add_option("--stop-after", *stop_after, "last phase to run")
      ->check(CLI::IsMember({"import", "analyze", "plan", "compile"}));
  app->add_flag("-v,--verbose", gate->verbose, "time of each phase");
}

void AddInspect(CLI::App& app, InspectOptions* options, std::string* stop_after) {
  CLI::App* command = app.add_subcommand("inspect", "inputs, parameters, FLOPs, and obstacles to microbatching");
  command->footer("example: alpa inspect step.mlirbc --json");
  AddModel(command, &options->load);
  AddGate(command, &options->gate, stop_after);
  command->add_flag("--json", options->json, "as JSON");
}

void AddRun(CLI::App& app, RunOptions* options, std::string* stop_after) {
  CLI::App* command = app.add_subcommand("run", "train a step on N devices");
  command->footer(
      "examples:\n"
      "  alpa run step.mlirbc --devices 8 --steps 100 --data corpus/ --checkpoint ckpt\n"
      "  alpa run step.mlirbc --devices 4 --check golden.npz\n"
      "  alpa run step.mlirbc --microbatches 16\n"
      "  alpa run step.mlirbc --plan plan.json --trace trace.json   # of alpa plan, several stages too\n"
      "  mpirun -n 2 alpa run step.mlirbc --devices 8        # one mesh over two processes, 4 devices in each");
  AddModel(command, &options->load);
  command
      ->add_option("-n,--devices", options->devices,
                   "virtual CPU devices, of all processes (default: one in each, or the plan's)")
      ->check(kDeviceCount);
  command
      ->add_option("--plan", options->plan,
                   "data-parallel, a plan file, or auto: what is fastest on this machine, measured the first time")
      ->capture_default_str();
  command->add_option("--cluster", options->cluster, "with --plan auto: this machine's file, of alpa profile");
  command->add_flag("--measure-again", options->measure_again, "with --plan auto: forget what was measured before");
  command
      ->add_option("--microbatches", options->microbatches,
                   "run the batch in so many pieces, one after the other: the same numbers in less memory (one device)")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--per-microbatch", options->per_microbatch,
                    "also where that changes the step: batch statistics become those of a microbatch");
  command->add_option("--save-plan", options->save_plan, "write the plan here");
  command->add_option("--steps", options->steps, "steps to train (default: 10, or those that --check needs)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--data", options->data, "files or folders: .npz with the batch arrays, or text (byte level)");
  command->add_option("--init", options->init, "first values: .npz, .safetensors, .json (init rules), or random:SEED");
  command->add_option("--seed", options->seed, "order of the data")->capture_default_str();
  command->add_option("--check", options->check, "start from the inputs in this .npz and compare with its outputs");
  command->add_option("--check-report", options->check_report, "write what --check found as JSON");
  command->add_option("--tolerance", options->tolerance, "factor on the tolerances of --check")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--checkpoint", options->checkpoint, "folder for checkpoints");
  command
      ->add_option("--checkpoint-every", options->checkpoint_every, "steps between checkpoints (default: at the end)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--keep", options->keep, "newest checkpoints to keep")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--resume", options->resume, "go on from the newest checkpoint in the folder");
  command->add_option("--backend", options->backend, "a PJRT plugin (.so) instead of the CPU");
  command->add_option("--metrics", options->metrics, "write step, loss, seconds, tokens/s and TFLOPS as JSON lines");
  command->add_flag("!--no-cache", options->cache,
                    "compile anew, and keep nothing (default: compiled programs are kept in ~/.cache/alpa/compiled)");
  command->add_option("--trace", options->trace,
                      "write what each mesh did in the last step, and beside it what was simulated, for Perfetto");
  command->add_option("--loss-curve", options->loss_curve, "write the loss curve as SVG");
  command
      ->add_option("--hang-limit", options->hang_limit,
                   "several processes end when no step is done for so many seconds (default: never)")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("-q,--quiet", options->quiet, "no progress");
  AddGate(command, &options->gate, stop_after);
}

void AddPlan(CLI::App& app, PlanOptions* options, std::string* stop_after) {
  CLI::App* command = app.add_subcommand("plan", "best way to run a step on a cluster or mesh, and how good it is");
  command->footer(
      "With --mesh: one mesh, no pipeline. Without: stages on submeshes of the cluster.\n"
      "examples:\n"
      "  alpa plan step.mlirbc --cluster p3.16xlarge:8 -o plan.json\n"
      "  alpa plan step.mlirbc --cluster p3.16xlarge:2 --microbatches 64 --schedule 1f1b --stages 4\n"
      "  alpa plan step.mlirbc --mesh 2x4 -o plan.json\n"
      "  alpa plan step.mlirbc --cluster p3.16xlarge --mesh 2x4 --memory 12GiB\n"
      "  alpa plan step.mlirbc --mesh 8 --pin 'params.*wte=[x,]'\n"
      "  alpa plan seq512.mlirbc seq2048.mlirbc --frequency 5,1 --mesh 2x4 -o family.json   # one state for both");
  command
      ->add_option("MODEL", options->models,
                   "training step, as for alpa run; several: the same model at other batch or sequence sizes")
      ->required();
  command
      ->add_option("--frequency", options->frequency,
                   "how often each of several models' steps occur, e.g. 5,3,1 (default: all alike)")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  AddLoad(command, &options->load);
  command->add_option("--cluster", options->cluster,
                      "name (see alpa clusters) or TOML file (default: local, this machine's virtual devices)");
  command->add_option("--mesh", options->mesh, "plan for one logical mesh, e.g. 2x4, without stages");
  command->add_option("--memory", options->memory,
                      "limit per device, e.g. 16GiB, or none (default: what the device has)");
  command->add_option("--method", options->method, "restrict the plan to a method people use by hand, to compare with")
      ->check(CLI::IsMember({"auto", "data-parallel", "zero-2", "zero-3", "largest-dimension"}))
      ->capture_default_str();
  command->add_flag("--methods", options->methods, "with --mesh: also plan by each of these methods, to compare with");
  command
      ->add_option("--microbatches", options->microbatches,
                   "the batch is run in so many pieces; auto: what is best (with --mesh: 1)")
      ->type_name("auto|N")
      ->capture_default_str();
  command->add_option("--schedule", options->schedule, "in which order stages run microbatches")
      ->check(CLI::IsMember({"auto", "gpipe", "1f1b", "interleaved", "zb-h1"}))
      ->capture_default_str();
  command->add_option("--stages", options->stages, "pipeline stages")->type_name("auto|N")->capture_default_str();
  command->add_option("--layers", options->layers, "cut the model into so many layers to make stages of (0: found out)")
      ->check(CLI::Range(0, 512));
  command->add_option("--top", options->top, "so many plans are simulated and shown")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--submeshes", options->submeshes,
                   "what a stage may lie on. regular: part of one host, or whole hosts; all: also some devices of each "
                   "of several hosts; auto: all where hosts differ (7 of 8 devices), on up to 32 devices")
      ->check(CLI::IsMember({"auto", "regular", "all"}))
      ->capture_default_str();
  command
      ->add_option("--exact", options->exact,
                   "so many of the best plans have their stages solved exactly, and the fastest is taken; prices, by "
                   "which the search goes, mislead where memory is tight")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--random", options->random,
                   "a random plan of this seed instead of a good one, to test the runtime with")
      ->type_name("SEED");
  command->add_flag("--no-recompute", options->no_recompute,
                    "never compute a stage's forward pass again to save memory");
  command->add_flag("--per-microbatch", options->per_microbatch,
                    "also where that changes the step: batch statistics become those of a microbatch");
  command->add_flag(
      "--half-sums", options->half_sums,
      "of stages: add up 16-bit gradients over microbatches in 16 bits instead of 32: half the memory for "
      "them, the more inexact the more microbatches");
  command->add_option("--pin", options->pins, "PATTERN=SPEC: inputs or operations whose name matches lie like this");
  auto* measure = command->add_flag("--measure", options->measure,
                                    "time the best candidates on this machine and list them; for alpa run --plan auto");
  command->add_flag("--measure-again", options->measure_again, "forget what was measured before")->needs(measure);
  command->add_option("-o,--out", options->out, "write the plan here");
  command
      ->add_option(
          "--time-limit", options->time_limit,
          "seconds for each sharding problem (default: 10 on one mesh; for a stage a fixed amount of work, some 0.4 s)")
      ->check(CLI::PositiveNumber);
  command->add_option("--gap", options->gap, "stop when the plan is proven this close to the best, e.g. 0.01")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--threads", options->threads, "threads for the search (default: one per core)")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", options->json, "the outcome as JSON");
  command->add_flag("-q,--quiet", options->quiet, "no progress");
  AddGate(command, &options->gate, stop_after);
}

void AddProfile(CLI::App& app, ProfileOptions* options) {
  CLI::App* command = app.add_subcommand("profile", "measure this machine for the cost model");
  command->footer("example: alpa profile -o machine.toml && alpa plan step.mlirbc --cluster machine.toml:1x4");
  command->add_option("-n,--devices", options->devices, "devices (default: 8 virtual ones, or the back end's)")
      ->check(kDeviceCount);
  command->add_option("--backend", options->backend, "a PJRT plugin (.so) instead of the CPU");
  command->add_option("--memory", options->memory, "of each device (virtual ones: of all), e.g. 16GiB");
  command->add_option("-o,--out", options->out, "write the cluster file here");
  command->add_flag("-q,--quiet", options->quiet, "no progress");
}

void AddSimulate(CLI::App& app, SimulateOptions* options) {
  CLI::App* command = app.add_subcommand("simulate", "execute a plan of several stages in simulated time");
  command->footer(
      "examples:\n"
      "  alpa simulate plan.json --trace trace.json          # open the trace at ui.perfetto.dev\n"
      "  alpa simulate plan.json --schedule gpipe            # the same stages by another schedule");
  command->add_option("PLAN", options->plan, "plan file of alpa plan --cluster")->required();
  command->add_option("--cluster", options->cluster, "name or TOML file (default: the plan's)");
  command->add_option("--schedule", options->schedule, "instead of the plan's")
      ->check(CLI::IsMember({"gpipe", "1f1b", "interleaved", "zb-h1"}));
  command
      ->add_option("--microbatches", options->microbatches,
                   "so many of the size that the plan has (default: the plan's)")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  command->add_option("--trace", options->trace, "write the timeline as Chrome trace events, for Perfetto");
  command->add_option("--trace-microbatches", options->trace_microbatches, "write that many, and the last (0: all)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--instructions", options->instructions, "write the instruction list of each mesh");
  command->add_flag("--json", options->json, "print JSON");
}

void AddReport(CLI::App& app, ReportOptions* options) {
  CLI::App* command = app.add_subcommand("report", "a plan as a page for the browser: one file, no network");
  command->footer(
      "examples:\n"
      "  alpa report plan.json -o plan.html\n"
      "  alpa report plan.json --trace trace.json -o plan.html   # what alpa run --trace measured, beside it");
  command->add_option("PLAN", options->plan, "plan file of alpa plan: one mesh, stages, or several shapes")->required();
  command->add_option("--cluster", options->cluster, "name or TOML file (default: the plan's)");
  command->add_option("--trace", options->trace,
                      "trace of alpa run --plan PLAN --trace: shown beside the simulated one");
  command->add_option("-o,--out", options->out, "write the page here (default: PLAN with .html)");
}

void AddCompare(CLI::App& app, CompareOptions* options) {
  CLI::App* command = app.add_subcommand("compare", "what differs between two plans, and what it costs");
  command->footer("example: alpa compare a.json b.json");
  command->add_option("A", options->a, "plan file")->required();
  command->add_option("B", options->b, "plan file that it is compared with")->required();
  command->add_option("--cluster", options->cluster, "name or TOML file, for both (default: that of each plan)");
  command->add_flag("--json", options->json, "print JSON");
}

void AddVerify(CLI::App& app, VerifyOptions* options) {
  CLI::App* command = app.add_subcommand("verify", "does a plan give the numbers of one device?");
  command->footer("example: alpa verify plan.json step.mlirbc --steps 5");
  command->add_option("PLAN", options->plan, "plan file, or data-parallel")->required();
  AddModel(command, &options->load);
  command->add_option("--steps", options->steps, "steps to train")->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--init", options->init, "first values: .npz, .safetensors, .json (init rules), or random:SEED");
  command->add_option("--tolerance", options->tolerance, "factor on the tolerances")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--all", options->all, "show all tensors, not just the worst");
  command->add_flag("!--no-cache", options->cache, "compile anew, and keep nothing");
}

void AddExplain(CLI::App& app, ExplainOptions* options) {
  CLI::App* command = app.add_subcommand("explain", "where each input of a step lies by a plan");
  command->footer("example: alpa explain plan.json step.mlirbc --name wte");
  command->add_option("PLAN", options->plan, "plan file")->required();
  AddModel(command, &options->load);
  command->add_option("--name", options->name, "only inputs whose names hold this");
  command->add_flag("--json", options->json, "print JSON");
}

void AddServe(CLI::App& app, ServeOptions* options) {
  CLI::App* command = app.add_subcommand("serve", "run a step for another program (the Python package)");
  command->footer(
      "The other program speaks src/alpa/driver/serve_wire.h over a socket that it hands down.\n"
      "example: alpa serve step.mlirbc --plan plan.json --fd 3");
  AddModel(command, &options->load);
  command->add_option("--fd", options->fd, "number of the open socket")->required();
  command->add_option("-n,--devices", options->devices, "virtual CPU devices (default: one, or the plan's)")
      ->check(kDeviceCount);
  command->add_option("--plan", options->plan, "data-parallel, a plan file, or auto, as of alpa run")
      ->capture_default_str();
  command->add_option("--cluster", options->cluster, "with --plan auto: this machine's file, of alpa profile");
  command->add_option("--microbatches", options->microbatches, "as of alpa run")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--per-microbatch", options->per_microbatch, "as of alpa run");
  command->add_option("--backend", options->backend, "a PJRT plugin (.so) instead of the CPU");
  command->add_flag("!--no-cache", options->cache, "compile anew, and keep nothing");
  command->add_flag("-v,--verbose", options->gate.verbose, "time of each phase");
}

void AddDemo(CLI::App& app, DemoOptions* options) {
  CLI::App* command = app.add_subcommand("demo", "train a small byte-level GPT on text, and let it write");
  command->footer("example: alpa demo --data my_texts/ --steps 200");
  command->add_option("--data", options->data, "text files or folders (default: the texts of this checkout)");
  command->add_option("-n,--devices", options->devices, "virtual devices")->check(kDeviceCount)->capture_default_str();
  command->add_option("--steps", options->steps, "steps to train")->capture_default_str()->check(CLI::PositiveNumber);
  command->add_option("--out", options->out, "folder for the loss curve")->capture_default_str();
  command->add_option("--prompt", options->prompt, "text the model goes on from")->capture_default_str();
}

void AddClusters(CLI::App& app, ClustersOptions* options) {
  CLI::App* command = app.add_subcommand("clusters", "known clusters, or what is in one");
  command->footer("examples:\n  alpa clusters p3.16xlarge:8\n  alpa clusters local --toml > mine.toml");
  command->add_option("CLUSTER", options->cluster, "a name such as p3.16xlarge:8 or local:2x4, or a TOML file");
  command->add_flag("--toml", options->toml, "print the file of a known cluster, to be changed");
}

void AddDoctor(CLI::App& app, DoctorOptions* options) {
  CLI::App* command = app.add_subcommand("doctor", "what this machine has and lacks, and what to do about it");
  command->footer("example: alpa doctor");
  command->add_option("-n,--devices", options->devices, "virtual devices to try")
      ->check(kDeviceCount)
      ->capture_default_str();
  command->add_option("--backend", options->backend, "a PJRT plugin (.so) to try");
  command->add_flag("--json", options->json, "print JSON");
}

void AddSolve(CLI::App& app, SolveCommand* options) {
  CLI::App* command = app.add_subcommand("solve", "the best assignment of a sharding problem, and a bound");
  command->footer(
      "example: alpa solve B.json.gz --time-limit 60 -o solution.json\n"
      "The problem is in the JSON of google/iopddl. Ctrl-C ends the search; the best so far is the answer.");
  command->add_option("PROBLEM", options->problem, "JSON of google/iopddl, also .gz")->required();
  command->add_option("--time-limit", options->time_limit, "seconds, with reading the file")->capture_default_str();
  command->add_option("--threads", options->threads, "threads (default: one per core)")->check(CLI::Range(0, 1024));
  command->add_option("--seed", options->seed, "of the search")->capture_default_str();
  command
      ->add_option("--work-limit", options->work_limit,
                   "stop after this much work instead of time; the answer then depends on the seed only")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--gap", options->gap, "stop when (cost - bound) / cost is not above this")
      ->check(CLI::Range(0.0, 1.0));
  command->add_flag("--json", options->json, "print JSON");
  command->add_option("-o,--out", options->out, "write the JSON here");
  command->add_flag("-q,--quiet", options->quiet, "no progress");
}

void AddCompletion(CLI::App& app, std::string* shell) {
  CLI::App* command = app.add_subcommand("completion", "a script that completes commands and options in a shell");
  command->footer(
      "examples:\n"
      "  source <(alpa completion bash)     # in ~/.bashrc\n"
      "  source <(alpa completion zsh)      # in ~/.zshrc, behind compinit\n"
      "  alpa completion fish > ~/.config/fish/completions/alpa.fish");
  command->add_option("SHELL", *shell, "the shell")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

int Finish(const alpa::Status& status) {
  if (status.ok()) return 0;
  std::fflush(stdout);
  std::fprintf(stderr, "alpa: %s\n", alpa::ToString(status.error()).c_str());
  return alpa::ExitStatus(status.error());
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGXFSZ, SIG_IGN);  // a file that may not grow further is an error of write(), not the end
  CLI::App app("alpa parallelizes deep-learning training: a JAX step (StableHLO) in, trained on many devices.", "alpa");
  app.formatter(std::make_shared<alpa::cli::HelpFormatter>());
  app.set_version_flag("--version", std::string("alpa ") + alpa::driver::kVersion);
  app.set_help_all_flag("--help-all", "help of all commands");
  app.require_subcommand(1);
  app.footer("alpa COMMAND --help shows its options and an example; --help-all those of all.");
  app.add_flag_callback("--reference",
                        [&app] {
                          std::fputs(alpa::cli::Reference(app).c_str(), stdout);
                          throw CLI::Success();
                        })
      ->group("");  // for docs/cli.md
  InspectOptions inspect;
  RunOptions run;
  PlanOptions plan;
  ProfileOptions profile;
  SimulateOptions simulate;
  ReportOptions report;
  CompareOptions compare;
  DemoOptions demo;
  ClustersOptions clusters;
  SolveCommand solve;
  DoctorOptions doctor;
  VerifyOptions verify;
  ServeOptions serve;
  ExplainOptions explain;
  std::string stop_after, shell;
  AddInspect(app, &inspect, &stop_after);
  AddPlan(app, &plan, &stop_after);
  AddRun(app, &run, &stop_after);
  AddProfile(app, &profile);
  AddSimulate(app, &simulate);
  AddReport(app, &report);
  AddCompare(app, &compare);
  AddVerify(app, &verify);
  AddDemo(app, &demo);
  AddClusters(app, &clusters);
  AddDoctor(app, &doctor);
  AddSolve(app, &solve);
  AddExplain(app, &explain);
  AddServe(app, &serve);
  AddCompletion(app, &shell);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!stop_after.empty())
    inspect.gate.stop_after = plan.gate.stop_after = run.gate.stop_after = alpa::driver::PhaseFromName(stop_after);
  if (app.got_subcommand("completion")) {
    std::fputs(alpa::cli::CompletionScript(app, shell).c_str(), stdout);
    return 0;
  }
  if (app.got_subcommand("inspect")) return Finish(alpa::driver::Inspect(inspect));
  if (!plan.models.empty()) plan.load.model = plan.models.front();
  if (app.got_subcommand("plan")) return Finish(alpa::driver::Plan(plan));
  if (app.got_subcommand("profile")) return Finish(alpa::driver::Profile(profile));
  if (app.got_subcommand("simulate")) return Finish(alpa::driver::Simulate(simulate));
  if (app.got_subcommand("report")) return Finish(alpa::driver::Report(report));
  if (app.got_subcommand("compare")) return Finish(alpa::driver::Compare(compare));
  if (app.got_subcommand("doctor")) return Finish(alpa::driver::Doctor(doctor));
  if (app.got_subcommand("verify")) return Finish(alpa::driver::VerifyPlan(verify));
  if (app.got_subcommand("explain")) return Finish(alpa::driver::Explain(explain));
  if (app.got_subcommand("serve")) return Finish(alpa::driver::Serve(serve));
  if (app.got_subcommand("run")) return Finish(alpa::driver::Run(run));
  if (app.got_subcommand("clusters")) return Finish(alpa::driver::Clusters(clusters));
  if (app.got_subcommand("solve")) return Finish(alpa::driver::Solve(solve));
  return Finish(alpa::driver::Demo(demo));
}
