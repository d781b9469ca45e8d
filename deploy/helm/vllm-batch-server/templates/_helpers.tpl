{{/* What is the same for all services. */}}

{{- define "vbatch.name" -}}
{{- if contains "vbatch" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-vbatch" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "vbatch.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "vbatch.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "vbatch.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "vbatch.name" .) -}}
{{- end -}}

{{/* Our own services: what runs, where it listens, how long it may take to stop, what it mounts, and who calls it.
     `single` is a single writer: a second one would make the first powerless, so there is never a second. */}}
{{- define "vbatch.services" -}}
gateway: {module: vbatch.gateway, port: 4080, stopSeconds: 15, log: true, blobs: true, postgres: VBATCH_GATEWAY_POSTGRES_URL, mounts: {results: read, webhooks: write}, callers: [console]}
scheduler: {module: vbatch.scheduler, port: 4083, stopSeconds: 15, log: true, blobs: true, single: true, mounts: {plans: write}, callers: [gateway]}
results: {module: vbatch.results, port: 4085, stopSeconds: 30, log: true, blobs: true, postgres: VBATCH_RESULTS_POSTGRES_URL, single: true, mounts: {results: write}, callers: [gateway]}
notifier: {module: vbatch.notifier, port: 4086, stopSeconds: 30, log: true, single: true, outside: true, mounts: {webhooks: read}, callers: [gateway]}
console: {module: vbatch.console, port: 4081, stopSeconds: 15, single: true, mounts: {}, callers: []}
{{- if .Values.labeler.enabled }}
labeler: {module: vbatch.labeler, port: 4087, stopSeconds: 30, log: true, blobs: true, single: true, outside: true, mounts: {}, callers: [gateway]}
{{- end }}
{{- end -}}

{{- define "vbatch.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "vbatch.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where the log and the files are: for everything that reads the log. */}}
{{- define "vbatch.logEnvironment" -}}
- {name: VBATCH_NATS_URL, value: {{ .Values.nats.url | quote }}}
- {name: VBATCH_NATS_REPLICAS, value: {{ .Values.nats.replicas | quote }}}
- {name: VBATCH_NATS_NKEY_FILE, value: /run/vbatch/nats.nk}
- {name: VBATCH_LANE_TOKEN_FILE, value: /run/vbatch/lane-token}
- {name: VBATCH_LOG_BYTES_MAX, value: {{ .Values.nats.logBytesMax | int64 | quote }}}
- {name: VBATCH_BLOB_URL, value: {{ required "blobs.url names the object store" .Values.blobs.url | quote }}}
{{- with .Values.blobs.archiveUrl }}
- {name: VBATCH_ARCHIVE_URL, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{- define "vbatch.commonEnvironment" -}}
- {name: VBATCH_HOST, value: 0.0.0.0}
- {name: VBATCH_LOG_LEVEL, value: {{ .Values.logLevel }}}
{{- with .Values.otlpEndpoint }}
- {name: VBATCH_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{- define "vbatch.extraEnvironment" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{/* Every runner by the name that its set gives it, those that KEDA may add included. */}}
{{- define "vbatch.runnerUrls" -}}
{{- $urls := list -}}
{{- range $group, $runner := .Values.runners -}}
{{- $name := printf "%s-runner-%s" (include "vbatch.name" $) $group -}}
{{- range $number := until (int (ternary $runner.keda.maxReplicas $runner.replicas $runner.keda.enabled)) -}}
{{- $urls = append $urls (printf "http://%s-%d.%s:4084" $name $number $name) -}}
{{- end -}}
{{- end -}}
{{- join " " $urls -}}
{{- end -}}

{{/* Alive: the process answers. Ready: it has caught up and reaches what it needs. The gateway shows its readiness to
     its own machine alone, so it is asked from inside. */}}
{{- define "vbatch.probes" -}}
startupProbe:
  httpGet: {path: /health, port: http}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /health, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  {{- if eq .component "gateway" }}
  exec: {command: [python, -m, vbatch.local.ready, "http://127.0.0.1:{{ .port }}/ready"]}
  {{- else }}
  httpGet: {path: /ready, port: http}
  {{- end }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}
