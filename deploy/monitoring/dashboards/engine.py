"""The engine and the device: where its time goes, how full it is, what it produces, what swaps cost, and which problems
it has."""

from __future__ import annotations

from deploy.monitoring.dashboards.model import Dashboard, Kind, Needs, Panel, Query, Row, above, quantile

TIME = Row(
    "Where does the time go?",
    (
        Panel(
            "What does the runner do with its time?",
            "Shares of the time: busy, loading a model, idle for want of work, held because the log takes no "
            "writes. Much "
            "loading is SwapThrash; idle while requests wait is a fault.",
            (
                Query(
                    "sum by (state) (rate(vbatch_runner_state_seconds_total[$__rate_interval])) / "
                    "scalar(count(vbatch_runner_window))",
                    "{{state}}",
                ),
            ),
            unit="percentunit",
            link="batch",
            kind=Kind.STACK,
            width=12,
            is_share=True,
        ),
        Panel(
            "Which model is on the device?",
            "The loaded model of each runner over time.",
            (Query("max by (instance, model) (vbatch_runner_model_loaded)", "{{instance}} {{model}}"),),
            unit="bool_on_off",
            link="batch",
            kind=Kind.TIMELINE,
            width=12,
        ),
    ),
)
FILL = Row(
    "Is the engine full?",
    (
        Panel(
            "How many requests are inside the engine?",
            "Inside, against the window that keeps it full. Inside far below the window while requests wait: the input "
            "files are read too slowly, or the runner's loop is held up.",
            (
                Query("sum by (instance) (vbatch_runner_inside)", "inside {{instance}}"),
                Query("sum by (instance) (vbatch_runner_window)", "window {{instance}}"),
                Query("sum by (instance) (vbatch_runner_waiting)", "in hand {{instance}}"),
            ),
            unit="short",
            link="batch",
        ),
        Panel(
            "How many does the engine run at once?",
            "As the engine tells. Waiting ones are good up to some dozens: they fill the next step.",
            (
                Query("sum by (instance) (vbatch_runner_engine_running)", "running {{instance}}"),
                Query("sum by (instance) (vbatch_runner_engine_waiting)", "waiting {{instance}}"),
            ),
            unit="short",
            link="batch",
        ),
        Panel(
            "How full is the KV cache?",
            "Near 1 with preemptions: fewer requests at once (max-num-seqs) would be faster.",
            (Query("max by (instance) (vbatch_runner_engine_kv_ratio)", "{{instance}}"),),
            unit="percentunit",
            link="batch",
            is_share=True,
            steps=above((0.95, "orange")),
        ),
    ),
)
MADE = Row(
    "What does it make?",
    (
        Panel(
            "How many tokens a second?",
            "Tokens of finished requests: input, output, and input found in the prefix cache.",
            (Query("sum by (kind) (rate(vbatch_runner_tokens_total[$__rate_interval]))", "{{kind}}"),),
            unit="short",
            link="batch",
        ),
        Panel(
            "How much of the prompts comes from the prefix cache?",
            "Found of looked for. Low where prompts begin alike: their batch is not in the order of its prefixes, "
            "or the "
            "cache is too small.",
            (
                Query(
                    "sum(rate(vbatch_runner_engine_prefix_cache_hits_total[$__rate_interval])) / "
                    "(sum(rate(vbatch_runner_engine_prefix_cache_queries_total[$__rate_interval])) > 0)",
                    "hits",
                ),
            ),
            unit="percentunit",
            link="batch",
            is_share=True,
        ),
        Panel(
            "How long is a request inside?",
            "Half of the requests are answered sooner than p50, 99 of 100 sooner than p99.",
            (
                Query(
                    quantile(0.5, "vbatch_runner_request_seconds"),
                    "p50",
                ),
                Query(
                    quantile(0.99, "vbatch_runner_request_seconds"),
                    "p99",
                ),
            ),
            unit="s",
            link="batch",
        ),
        Panel(
            "When does vLLM give the first token?",
            "vLLM's own histogram: time to first token, nine of ten requests sooner.",
            (
                Query(
                    quantile(0.9, "vllm:time_to_first_token_seconds"),
                    "p90",
                    needs=Needs.VLLM,
                ),
            ),
            unit="s",
            link="batch",
            width=12,
        ),
        Panel(
            "How soon are answers safe in the log?",
            "From the closing of a chunk to the log's word that it is stored. Slow: the disk of the log.",
            (
                Query(
                    quantile(0.5, "vbatch_runner_publish_seconds"),
                    "p50",
                ),
                Query(
                    quantile(0.99, "vbatch_runner_publish_seconds"),
                    "p99",
                ),
            ),
            unit="s",
            link="storage",
            width=12,
            steps=above((1, "orange")),
        ),
    ),
)
SWAPS = Row(
    "What do swaps cost, and what goes wrong?",
    (
        Panel(
            "How often is a model loaded, and why?",
            "Engines that came up in an hour by reason. Restarts are crashes or changed definitions.",
            (Query("sum by (reason) (increase(vbatch_runner_load_seconds_count[1h]))", "{{reason}}"),),
            unit="short",
            link="batch",
        ),
        Panel(
            "How long does a load take?",
            "Mean time from stop-feed until the engine answers, by reason.",
            (
                Query(
                    "sum by (reason) (rate(vbatch_runner_load_seconds_sum[1h])) / "
                    "(sum by (reason) (rate(vbatch_runner_load_seconds_count[1h])) > 0)",
                    "{{reason}}",
                ),
            ),
            unit="s",
            link="batch",
        ),
        Panel(
            "What goes wrong?",
            "In the last hour: engines that died at work, that did not come up, that were started with less memory, "
            "requests sent again, requests the engine put back.",
            (
                Query("sum(increase(vbatch_runner_engine_crashes_total[1h]))", "crashes"),
                Query("sum(increase(vbatch_runner_model_failures_total[1h]))", "failed loads"),
                Query("sum(increase(vbatch_runner_profile_lowered_total[1h]))", "started with less"),
                Query("sum(increase(vbatch_runner_retries_total[1h]))", "sent again"),
                Query("sum(increase(vbatch_runner_engine_preemptions_total[1h]))", "preempted"),
            ),
            unit="short",
            link="overview",
            steps=above((1, "orange")),
        ),
    ),
)
CARD = Row(
    "How is the card?",
    (
        Panel(
            "How much memory of the card is used?",
            "Used of all. vLLM takes its share at the start and keeps it; what changes is somebody else's.",
            (
                Query(
                    "max by (instance) (vbatch_gpu_memory_used_bytes / vbatch_gpu_memory_total_bytes)",
                    "{{instance}}",
                    needs=Needs.GPU,
                ),
            ),
            unit="percentunit",
            link="overview",
            is_share=True,
            steps=above((0.97, "orange")),
        ),
        Panel(
            "How busy is the card?",
            "Share of the time in which it computed. Low while requests are inside: the host is the bottleneck.",
            (Query("max by (instance) (vbatch_gpu_utilization_ratio)", "{{instance}}", needs=Needs.GPU),),
            unit="percentunit",
            link="batch",
            is_share=True,
        ),
        Panel(
            "How hot is it, and does it slow down?",
            "Degrees, and reasons for which its clocks are lowered. Above 87 degrees GpuHot fires: cooling, or a lower "
            "power limit.",
            (
                Query("max by (instance) (vbatch_gpu_temperature_celsius)", "{{instance}}", needs=Needs.GPU),
                Query("max by (reason) (vbatch_gpu_throttled) * 100", "throttled: {{reason}}", needs=Needs.GPU),
            ),
            unit="celsius",
            link="overview",
            steps=above((80, "orange"), (87, "red")),
        ),
        Panel(
            "How much power does it draw?",
            "Watts, against its limit.",
            (
                Query("max by (instance) (vbatch_gpu_power_watts)", "draws {{instance}}", needs=Needs.GPU),
                Query("max by (instance) (vbatch_gpu_power_limit_watts)", "limit {{instance}}", needs=Needs.GPU),
            ),
            unit="watt",
            link="overview",
            width=12,
        ),
        Panel(
            "What does an output token cost?",
            "Joules for each token of output, over an hour. Fewer swaps and a fuller engine make it cheaper.",
            (Query("gpu:joules_per_output_token:rate1h", "joules", needs=Needs.GPU),),
            unit="joule",
            link="batch",
            width=12,
        ),
    ),
)

ENGINE = Dashboard(
    "engine",
    "Engine and GPU: is the device used well?",
    "Where the time goes, how full the engine is, tokens, swaps, trouble, and the card itself.",
    (TIME, FILL, MADE, SWAPS, CARD),
)
