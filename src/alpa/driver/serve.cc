#include "alpa/driver/serve.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "alpa/driver/choose_plan.h"
#include "alpa/driver/serve_wire.h"
#include "alpa/driver/session.h"
#include "alpa/plan/pipeline_plan.h"
#include "alpa/runtime/input_names.h"

namespace alpa::driver {
namespace {

using nlohmann::json;

constexpr int64_t kSmallResult = 64 * 1024;  // bytes; larger ones are fetched when somebody wants them

json ToJson(const Error& error) {
  return {{"error", {{"code", CodeName(error.code)}, {"message", error.message}, {"hint", error.hint}}}};
}

json ShapeJson(const ir::Shape& shape) { return {{"dtype", ir::Name(shape.dtype)}, {"shape", shape.dims}}; }

// The numbers at `key`; none when there is no such key.
Result<std::vector<int32_t>> Numbers(const json& request, const char* key) {
  std::vector<int32_t> out;
  if (!request.contains(key)) return out;
  const auto bad = [&] {
    return Error{Code::kInvalidInput, fmt::format("request: '{}' is no list of numbers", key), ""};
  };
  if (!request[key].is_array()) return bad();
  for (const json& number : request[key]) {
    if (!number.is_number_integer()) return bad();
    out.push_back(number.get<int32_t>());
  }
  return out;
}

// Ends the process when the other side goes away in the midst of something long.
void EndWithClient(int fd) {
  std::thread([fd] {
    while (true) {
      pollfd watched{fd, POLLRDHUP, 0};
      if (::poll(&watched, 1, -1) > 0 && (watched.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) ::_exit(0);
    }
  }).detach();
}

// A session with one client, from the greeting to the end of the socket.
class Service {
 public:
  explicit Service(const ServeOptions& options) : options_(options), gate_(options.gate), wire_(options.fd) {}

  Status Run() {
    const auto session = Open();
    if (!session.ok()) return wire_.Send(ToJson(session.error()));
    ALPA_RETURN_IF_ERROR(wire_.Send(Greeting()));
    while (true) {
      ALPA_TRY(const auto request, wire_.Receive());
      if (!request.has_value()) return Ok();
      const Status done = Answer(*request);
      ALPA_RETURN_IF_ERROR(wire_.SkipRest());
      if (!done.ok()) ALPA_RETURN_IF_ERROR(wire_.Send(ToJson(done.error())));
    }
  }

 private:
  Status Open() {
    ALPA_TRY(xla::Engine* const engine, xla::LoadEngine());
    SessionOptions session{options_.load,    options_.devices,      options_.plan,
                           options_.backend, options_.microbatches, options_.per_microbatch};
    if (options_.plan == kAutoPlan) {
      ALPA_TRY(const MeasuredChoice choice, ChoosePlan(*engine, {options_.load, options_.cluster}));
      const PlanChoice& best = choice.measured.front();
      session.plan = best.plan;
      session.devices = best.devices;
      session.microbatches = best.microbatches;
      label_ = best.label;
    }
    ALPA_TRY(session_, OpenSession(*engine, session, gate_));
    const auto& inputs = session_.signature().inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      auto& numbers = inputs[i].role == ir::InputRole::kBatch ? batch_inputs_ : state_inputs_;
      numbers.push_back(static_cast<int32_t>(i));
    }
    return Ok();
  }

  const ir::Shape& InputShape(int32_t input) const {
    return session_.module().shape(session_.module().inputs[static_cast<size_t>(input)]);
  }

  json Greeting() const {
    const ir::Module& module = session_.module();
    const std::vector<std::string> names = runtime::UniqueInputNames(module);
    json out{{"ok", true}, {"inputs", json::array()}, {"outputs", json::array()}, {"loss", session_.signature().loss}};
    if (!label_.empty()) out["plan"] = label_;
    out["devices"] = session_.pipeline ? plan::DeviceCount(*session_.pipeline) : session_.plan.mesh.size();
    for (size_t i = 0; i < module.inputs.size(); ++i) {
      const ir::StepInput& input = session_.signature().inputs[i];
      json entry = ShapeJson(module.shape(module.inputs[i]));
      entry.update({{"name", names[i]}, {"role", ir::Name(input.role)}, {"updated_by", input.updated_by}});
      out["inputs"].push_back(std::move(entry));
    }
    for (size_t o = 0; o < module.outputs.size(); ++o) {
      const ir::StepOutput& output = session_.signature().outputs[o];
      json entry = ShapeJson(module.shape(module.outputs[o]));
      entry.update({{"role", ir::Name(output.role)}, {"updates", output.updates}});
      out["outputs"].push_back(std::move(entry));
    }
    return out;
  }

  Status Answer(const json& request) {
    const std::string op = request.value("op", "");
    if (op == "state") return TakeState(request);
    if (op == "step") return Step(request);
    if (op == "fetch") return Fetch(request);
    return Error{Code::kInvalidInput, fmt::format("request: there is no op '{}'", op), ""};
  }

  // The arrays of a request by the inputs that it names, which must be among `allowed`.
  Result<std::map<int32_t, ir::HostTensor>> ReceiveInputs(const json& request, const std::vector<int32_t>& allowed) {
    ALPA_TRY(const std::vector<int32_t> inputs, Numbers(request, "inputs"));
    std::map<int32_t, ir::HostTensor> out;
    for (const int32_t input : inputs) {
      if (!std::binary_search(allowed.begin(), allowed.end(), input))
        return Error{Code::kInvalidInput, fmt::format("request: input {} is not of this kind", input), ""};
      ALPA_TRY(out[input], wire_.ReceiveTensor(InputShape(input)));
    }
    return out;
  }

  Status TakeState(const json& request) {
    ALPA_TRY(auto values, ReceiveInputs(request, state_inputs_));
    if (values.size() == state_inputs_.size()) {
      // Each value is given away when it is asked for, so that it is not held twice.
      const runtime::InputProvider give = [&values](int32_t input) -> Result<ir::HostTensor> {
        return std::move(values.at(input));
      };
      if (trainer_ != nullptr) {
        ALPA_RETURN_IF_ERROR(trainer_->SetState(give));
      } else {
        ALPA_TRY(trainer_, CompileSession(session_, give, gate_));
        batch_.resize(batch_inputs_.size());
      }
      return wire_.Send({{"ok", true}});
    }
    ALPA_RETURN_IF_ERROR(CheckStarted());
    for (const auto& [input, value] : values)
      ALPA_RETURN_IF_ERROR(trainer_->SetState(IndexIn(state_inputs_, input), value));
    return wire_.Send({{"ok", true}});
  }

  Status Step(const json& request) {
    ALPA_RETURN_IF_ERROR(CheckStarted());
    ALPA_TRY(const auto values, ReceiveInputs(request, batch_inputs_));
    const std::vector<sharding::Spec> specs = trainer_->batch_specs();
    for (const auto& [input, value] : values) {
      const size_t b = IndexIn(batch_inputs_, input);
      ALPA_TRY(batch_[b], session_.client->Put(value, specs[b], trainer_->mesh()));
    }
    std::vector<xla::Array*> batch;
    for (size_t b = 0; b < batch_.size(); ++b) {
      if (batch_[b] == nullptr)
        return Error{Code::kInvalidInput, fmt::format("request: batch input {} has no value yet", batch_inputs_[b]),
                     ""};
      batch.push_back(batch_[b].get());
    }
    ALPA_TRY(last_, trainer_->Step(batch));
    json answer{{"ok", true}, {"seconds", last_.wall.value}, {"outputs", json::array()}};
    std::vector<ir::HostTensor> small;
    for (size_t r = 0; r < last_.results.size(); ++r) {
      if (last_.results[r]->shape().bytes().value > kSmallResult) continue;
      answer["outputs"].push_back(trainer_->result_outputs()[r]);
      ALPA_TRY(ir::HostTensor value, last_.results[r]->ToHost());
      small.push_back(std::move(value));
    }
    return wire_.Send(answer, small);
  }

  Status Fetch(const json& request) {
    ALPA_RETURN_IF_ERROR(CheckStarted());
    std::vector<ir::HostTensor> values;
    ALPA_TRY(const std::vector<int32_t> inputs, Numbers(request, "inputs"));
    for (const int32_t input : inputs) {
      if (!std::binary_search(state_inputs_.begin(), state_inputs_.end(), input))
        return Error{Code::kInvalidInput, fmt::format("request: input {} is no state", input), ""};
      ALPA_TRY(ir::HostTensor value, trainer_->StateToHost(IndexIn(state_inputs_, input)));
      values.push_back(std::move(value));
    }
    ALPA_TRY(const std::vector<int32_t> outputs, Numbers(request, "outputs"));
    const std::vector<int32_t>& results = trainer_->result_outputs();
    for (const int32_t output : outputs) {
      const auto at = std::find(results.begin(), results.end(), output);
      if (at == results.end() || last_.results.empty())
        return Error{Code::kInvalidInput, fmt::format("request: output {} is no result of a step", output), ""};
      ALPA_TRY(ir::HostTensor value, last_.results[static_cast<size_t>(at - results.begin())]->ToHost());
      values.push_back(std::move(value));
    }
    return wire_.Send({{"ok", true}}, values);
  }

  Status CheckStarted() const {
    if (trainer_ != nullptr) return Ok();
    return Error{Code::kInvalidInput, "request: the state has no values yet", ""};
  }

  static size_t IndexIn(const std::vector<int32_t>& sorted, int32_t value) {
    return static_cast<size_t>(std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin());
  }

  const ServeOptions& options_;
  const Gate gate_;
  Wire wire_;
  std::string label_;  // of the plan that was chosen
  Session session_;
  std::vector<int32_t> state_inputs_, batch_inputs_;
  std::unique_ptr<runtime::Trainer> trainer_;
  std::vector<std::unique_ptr<xla::Array>> batch_;  // as batch_inputs_
  runtime::StepResult last_;
};

}  // namespace

Status Serve(const ServeOptions& options) {
  if (options.fd < 0) return Error{Code::kInvalidArgument, "--fd must be the number of an open socket", ""};
  KeepCompiled(options.cache);
  EndWithClient(options.fd);
  return Service(options).Run();
}

}  // namespace alpa::driver
