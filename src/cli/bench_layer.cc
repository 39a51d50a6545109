#include "cli/bench_layer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/cat.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "cli/bench_limits.h"
#include "cli/layer_weights.h"
#include "cli/machine.h"
#include "cli/model_source.h"
#include "cli/progress.h"
#include "cli/random_weights.h"
#include "cli/text_format.h"
#include "cli/version.h"
#include "engine/kv_arena.h"
#include "models/blocks.h"
#include "models/estimate.h"
#include "models/rope.h"

namespace minke::cli {
namespace {

using formats::DType;

/// Inputs that are taken in turn, so that one token does not meet the same experts again and again.
constexpr std::size_t kVariants = 4;

DType dtype_of(const formats::Checkpoint& checkpoint) {
  const auto* quantisation = checkpoint.config().if_contains("quantization_config");
  const auto* object = quantisation == nullptr ? nullptr : quantisation->if_object();
  const auto* method = object == nullptr ? nullptr : object->if_contains("quant_method");
  return method != nullptr && method->is_string() && method->as_string() == "fp8" ? DType::f8_e4m3 : DType::bf16;
}

/// What one step of one part costs.
struct Cost {
  double seconds = 0;
  double bytes = 0;       ///< weights and cache read
  double operations = 0;  ///< a multiply-add counts as two
};

/// Operations of the matrices of one layer's attention for one token.
double attention_weights(const models::DecoderConfig& c) {
  const models::AttentionConfig& a = c.attention;
  const auto product = [](std::int64_t x, std::int64_t y) {
    return 2.0 * static_cast<double>(x) * static_cast<double>(y);
  };
  if (a.kind == models::AttentionKind::gqa) {
    return product(c.hidden_size, (2 * a.heads + 2 * a.kv_heads) * a.head_dim);
  }
  const std::int64_t q = a.heads * (a.mla.qk_nope_head_dim + a.mla.qk_rope_head_dim);
  const double queries = a.mla.q_lora_rank == 0
                             ? product(c.hidden_size, q)
                             : product(c.hidden_size, a.mla.q_lora_rank) + product(a.mla.q_lora_rank, q);
  return queries + product(c.hidden_size, a.mla.kv_lora_rank + a.mla.qk_rope_head_dim) +
         product(a.heads * (a.mla.qk_nope_head_dim + a.mla.v_head_dim), a.mla.kv_lora_rank) +
         product(c.hidden_size, a.heads * a.mla.v_head_dim);
}

/// Operations of one token's scores and values over `context` cached ones.
double attention_over(const models::DecoderConfig& c, const kernels::KvLayout& layout, double context) {
  return 2.0 * static_cast<double>(c.attention.heads) * context * static_cast<double>(layout.k_dim + layout.v_dim);
}

double feed_forward_operations(const models::DecoderConfig& c) {
  const models::MoeConfig& moe = c.feed_forward.moe;
  const auto hidden = static_cast<double>(c.hidden_size);
  if (c.feed_forward.kinds.back() == models::FeedForwardKind::dense) {
    return 6.0 * hidden * static_cast<double>(c.feed_forward.intermediate_size);
  }
  return 6.0 * hidden *
             static_cast<double>(moe.num_experts_per_tok * moe.moe_intermediate_size + moe.shared_intermediate_size) +
         2.0 * hidden * static_cast<double>(moe.n_routed_experts);
}

std::size_t blocks_of(std::size_t tokens) { return (tokens + kernels::kKvBlock - 1) / kernels::kKvBlock; }

class LayerRun {
 public:
  LayerRun(const LayerSettings& settings, const models::DecoderConfig& model, DType dtype, const Limits& limits,
           base::ThreadPool& pool)
      : settings_(settings),
        model_(model),
        config_(one_layer(model)),
        limits_(limits),
        dtype_(dtype),
        options_(settings.engine.options(kernels::Numerics::fast)),
        ops_(kernels::kernel_table(options_.isa.value_or(kernels::best_isa())), pool, options_.numerics),
        layout_(models::kv_layout(config_, kv_type())),
        bytes_(measure_layer(config_, dtype)),
        cache_(layout_.bytes(), blocks_of(std::ranges::max(settings.contexts)), /*prefault=*/false),
        workspace_(config_, std::ranges::max(settings.tokens)),
        rope_(config_.attention.rope) {
    Progress progress("making the layer", settings.show_progress);
    weights_ = random_layer(config_, dtype, pool, [&](std::uint64_t done, std::uint64_t total) {
      progress.update(done, total, base::cat(byte_text(done), " of ", byte_text(total)));
    });
    const std::size_t context = std::ranges::max(settings.contexts);
    for (std::size_t i = 0; i < cache_.blocks(); ++i) blocks_.push_back(cache_.data(static_cast<engine::BlockId>(i)));
    fill_cache(context, pool);
    const auto hidden = static_cast<std::size_t>(config_.hidden_size);
    for (std::size_t i = 0; i < kVariants; ++i) inputs_.push_back(random_floats(workspace_.max_rows * hidden, 100 + i));
  }

  kernels::KvType kv_type() const {
    return options_.kv_type.value_or(options_.numerics == kernels::Numerics::exact ? kernels::KvType::f32
                                                                                   : kernels::KvType::bf16);
  }

  bool run(const std::function<bool()>& stopped, const std::function<void(const Record&)>& sink) {
    for (const std::size_t tokens : settings_.tokens) {
      if (stopped()) return false;
      const Cost feed_forward = measure_feed_forward(tokens);
      sink(record_of("feed-forward", tokens, 0, feed_forward));
      for (const std::size_t context : settings_.contexts) {
        if (stopped()) return false;
        if (tokens > context) continue;
        const Cost attention = measure_attention(tokens, context);
        sink(record_of("attention", tokens, context, attention));
        project(tokens, context, feed_forward, attention, sink);
      }
    }
    return true;
  }

 private:
  void fill_cache(std::size_t context, base::ThreadPool& pool) {
    const std::vector<std::byte> bytes = random_bytes(DType::bf16, layout_.bytes() / 2, /*seed=*/7, pool);
    for (std::size_t i = 0; i < blocks_of(context); ++i) std::copy(bytes.begin(), bytes.end(), blocks_[i]);
  }

  template <typename Block>
  double time(std::size_t tokens, std::size_t context, const Block& block) {
    const std::size_t half = rope_.half();
    for (std::size_t i = 0; i < tokens; ++i) {
      const auto position = static_cast<std::uint32_t>(context - tokens + i);
      workspace_.rows[i] = {.sequence = 0, .position = position};
      rope_.angles(position, workspace_.cos.data() + i * half, workspace_.sin.data() + i * half);
    }
    const kernels::KvView view{.blocks = blocks_.data()};
    const models::StepContext step{
        ops_,      config_, layout_, std::span(std::as_const(workspace_.rows)).first(tokens), std::span(&view, 1),
        workspace_};
    std::size_t next = 0;
    return seconds_of([&] {
      const std::vector<float>& input = inputs_[next++ % kVariants];
      const auto hidden = static_cast<std::size_t>(config_.hidden_size);
      std::copy_n(input.begin(), tokens * hidden, workspace_.normed.begin());
      ops_.prepare(workspace_.normed.data(), tokens, hidden, hidden, workspace_.activations);
      block(step);
    });
  }

  Cost measure_feed_forward(std::size_t tokens) {
    Cost cost;
    if (const auto* moe = std::get_if<models::MoeWeights>(&weights_.feed_forward)) {
      double used = 0, calls = 0;
      cost.seconds = time(tokens, tokens, [&](const models::StepContext& step) {
        models::feed_forward_moe(step, *moe);
        const auto& first = workspace_.plan.first;
        for (std::size_t e = 0; e + 1 < first.size(); ++e) used += first[e + 1] > first[e] ? 1 : 0;
        calls += 1;
      });
      cost.bytes = static_cast<double>(bytes_.shared) + used / calls * static_cast<double>(bytes_.expert);
    } else {
      const auto& dense = std::get<models::DenseWeights>(weights_.feed_forward);
      cost.seconds = time(tokens, tokens, [&](const models::StepContext& step) {
        models::feed_forward_dense(step, dense, config_.feed_forward.intermediate_size);
      });
      cost.bytes = static_cast<double>(bytes_.shared);
    }
    cost.operations = static_cast<double>(tokens) * feed_forward_operations(config_);
    return cost;
  }

  Cost measure_attention(std::size_t tokens, std::size_t context) {
    Cost cost;
    cost.seconds = time(tokens, context, [&](const models::StepContext& step) {
      if (const auto* mla = std::get_if<models::MlaWeights>(&weights_.attention)) {
        models::attend_mla(step, *mla, 0);
      } else {
        models::attend_gqa(step, std::get<models::GqaWeights>(weights_.attention), 0);
      }
    });
    const std::size_t blocks = (context + kernels::kKvBlock - 1) / kernels::kKvBlock;
    cost.bytes = static_cast<double>(bytes_.attention) + static_cast<double>(blocks * layout_.bytes());
    const auto rows = static_cast<double>(tokens);
    const double mean_context = static_cast<double>(context) - (rows - 1) / 2;
    cost.operations = rows * (attention_weights(config_) + attention_over(config_, layout_, mean_context));
    return cost;
  }

  double bandwidth_share(const Cost& cost) const { return cost.bytes / cost.seconds / limits_.read_bandwidth; }

  Record record_of(const char* part, std::size_t tokens, std::size_t context, const Cost& cost) const {
    const ArithmeticLimit arithmetic = arithmetic_limit(limits_, dtype_, ops_.numerics());
    Record record;
    record.add("build_commit", build_commit());
    record.add("cpu_info", processor_name());
    record.add("kernels", std::string(kernels::name(ops_.table())));
    record.add("numerics", std::string(kernels::to_string(ops_.numerics())));
    record.add("n_threads", static_cast<std::int64_t>(ops_.pool().size()));
    record.add("model", settings_.model);
    record.add("type", std::string(formats::info(dtype_).name));
    record.add("part", part);
    record.add("n_tokens", static_cast<std::int64_t>(tokens));
    record.add("n_ctx", static_cast<std::int64_t>(context));
    record.add("seconds", cost.seconds);
    record.add("bytes", cost.bytes);
    record.add("operations", cost.operations);
    record.add("bandwidth_limit", limits_.read_bandwidth);
    record.add("bandwidth_share", bandwidth_share(cost));
    record.add("arithmetic", arithmetic.name);
    record.add("arithmetic_limit", arithmetic.rate);
    record.add("arithmetic_share", cost.operations / cost.seconds / arithmetic.rate);
    record.add("projected_bandwidth", 0.0);
    record.add("tokens_per_second", static_cast<double>(tokens) / cost.seconds);
    return record;
  }

  /// All layers together: mixtures as measured; dense layers and the output matrix, which were not made, at the speed
  /// of the feed-forward's products (by bytes while it is bound by memory, else by operations).
  Cost whole_model(std::size_t tokens, const Cost& feed_forward, const Cost& attention) const {
    const auto layers = static_cast<double>(model_.num_hidden_layers);
    const double same =
        static_cast<double>(std::ranges::count(model_.feed_forward.kinds, config_.feed_forward.kinds[0]));
    const auto hidden = static_cast<double>(model_.hidden_size);
    const auto rows = static_cast<double>(tokens);
    const double element_bytes =
        static_cast<double>(formats::info(dtype_).block_bytes) / formats::info(dtype_).block_elements;
    const double others = (layers - same) * 3 * hidden * static_cast<double>(model_.feed_forward.intermediate_size);
    // One row of each sequence wants logits, which while decoding is every row; the output matrix is BF16.
    const double output = hidden * static_cast<double>(model_.vocab_size);
    Cost rest;
    rest.bytes = others * element_bytes + 2 * output;
    rest.operations = 2 * rows * (others + output);
    const double by_bytes = rest.bytes * feed_forward.seconds / feed_forward.bytes;
    const double by_operations = rest.operations * feed_forward.seconds / feed_forward.operations;
    rest.seconds = memory_bound(feed_forward) ? by_bytes : by_operations;
    return {.seconds = layers * attention.seconds + same * feed_forward.seconds + rest.seconds,
            .bytes = layers * attention.bytes + same * feed_forward.bytes + rest.bytes,
            .operations = layers * attention.operations + same * feed_forward.operations + rest.operations};
  }

  bool memory_bound(const Cost& cost) const {
    const ArithmeticLimit arithmetic = arithmetic_limit(limits_, dtype_, ops_.numerics());
    return bandwidth_share(cost) >= cost.operations / cost.seconds / arithmetic.rate;
  }

  /// A part that is bound by memory keeps its share of the bandwidth; another keeps its time.
  Cost at_bandwidth(Cost cost) const {
    if (memory_bound(cost)) cost.seconds *= limits_.read_bandwidth / settings_.bandwidth;
    return cost;
  }

  void project(std::size_t tokens, std::size_t context, const Cost& feed_forward, const Cost& attention,
               const std::function<void(const Record&)>& sink) const {
    sink(record_of("model", tokens, context, whole_model(tokens, feed_forward, attention)));
    if (settings_.bandwidth <= 0) return;
    Record record =
        record_of("model", tokens, context, whole_model(tokens, at_bandwidth(feed_forward), at_bandwidth(attention)));
    for (auto& [key, value] : record.fields) {
      if (key == "projected_bandwidth" || key == "bandwidth_limit") value = settings_.bandwidth;
      if (key == "bandwidth_share") value = std::get<double>(value) * limits_.read_bandwidth / settings_.bandwidth;
      if (key == "arithmetic_limit" || key == "arithmetic_share") value = 0.0;  // of another machine: not known
    }
    sink(record);
  }

  const LayerSettings& settings_;
  const models::DecoderConfig& model_;
  models::DecoderConfig config_;
  const Limits& limits_;
  DType dtype_;
  engine::EngineOptions options_;
  kernels::Ops ops_;
  kernels::KvLayout layout_;
  LayerBytes bytes_;
  engine::KvArena cache_;
  std::vector<std::byte*> blocks_;
  models::Workspace workspace_;
  models::Rope rope_;
  models::LayerWeights weights_;
  std::vector<std::vector<float>> inputs_;
};

/// Refuses before anything is made.
void check_memory(const LayerSettings& settings, const models::DecoderConfig& layer, DType dtype) {
  const engine::EngineOptions options = settings.engine.options(kernels::Numerics::fast);
  const std::size_t rows = std::ranges::max(settings.tokens);
  const std::uint64_t cache = std::ranges::max(settings.contexts) *
                              models::kv_bytes_per_token(layer, options.kv_type.value_or(kernels::KvType::f32));
  const std::uint64_t inputs = kVariants * rows * static_cast<std::uint64_t>(layer.hidden_size) * sizeof(float);
  // Beside it the largest matrix as a file would have it, and what measuring the bandwidth takes.
  const std::uint64_t needed = measure_layer(layer, dtype).total() + models::workspace_bytes(layer, rows) + cache +
                               inputs + (std::uint64_t{512} << 20);
  const std::uint64_t available = options.memory_limit != 0 ? options.memory_limit : base::available_memory();
  if (needed <= available) return;
  throw base::Error(base::ErrorCode::out_of_memory,
                    base::cat("one layer of ", settings.model, " as ", formats::info(dtype).name, " needs ",
                              byte_text(needed), ", and ", byte_text(available), " are available"),
                    "--types with a smaller type (Q4_K), or fewer --rows, need less");
}

}  // namespace

bool run_layer(const LayerSettings& settings, const std::function<bool()>& stopped,
               const std::function<void(const Record&)>& sink) {
  const auto checkpoint = open_shape(settings.path);
  const models::DecoderConfig model = models::read_config(*checkpoint);
  const DType dtype = settings.dtype.value_or(dtype_of(*checkpoint));
  const models::DecoderConfig layer = one_layer(model);
  check_memory(settings, layer, dtype);
  const engine::EngineOptions options = settings.engine.options(kernels::Numerics::fast);
  base::ThreadPool pool(settings.threads);
  const Limits limits = measure_limits(options.isa.value_or(kernels::best_isa()), pool);
  return LayerRun(settings, model, dtype, limits, pool).run(stopped, sink);
}

std::vector<TableColumn> layer_columns() {
  const auto number = [](std::string title, const std::string& key, double scale, int decimals) {
    return TableColumn{std::move(title), 8, true,
                       [=](const Record& r) { return fixed_text(r.number(key) * scale, decimals); }};
  };
  const auto per_second = [](std::string title, const std::string& key) {
    return TableColumn{std::move(title), 8, true,
                       [=](const Record& r) { return fixed_text(r.number(key) * 1e-9 / r.number("seconds"), 1); }};
  };
  return {{"part", 22, false,
           [](const Record& r) {
             const double bandwidth = r.number("projected_bandwidth");
             return bandwidth > 0 ? base::cat(r.text("part"), " at ", fixed_text(bandwidth * 1e-9, 0), " GB/s")
                                  : r.text("part");
           }},
          {"tokens", 6, true, [](const Record& r) { return base::cat(r.integer("n_tokens")); }},
          {"context", 7, true,
           [](const Record& r) { return r.integer("n_ctx") == 0 ? std::string() : base::cat(r.integer("n_ctx")); }},
          number("ms", "seconds", 1e3, 2),
          per_second("GB/s", "bytes"),
          number("% of read", "bandwidth_share", 100, 0),
          per_second("GFLOP/s", "operations"),
          {"% of peak", 8, true,
           [](const Record& r) {
             const double share = r.number("arithmetic_share");
             return share > 0 ? fixed_text(share * 100, 0) : std::string();
           }},
          number("tokens/s", "tokens_per_second", 1, 2)};
}

}  // namespace minke::cli
