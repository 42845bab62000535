{{/* Variables of Floe: docs/reference/settings.md says what each means. */}}

{{/* One variable, of a text, a number or {valueFrom: …}; nothing for nothing: (list "NAME" value) */}}
{{- define "polars.variable" -}}
{{- $value := index . 1 -}}
{{- if kindIs "map" $value }}
- name: {{ index . 0 }}
  {{- toYaml $value | nindent 2 }}
{{- else if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- name: {{ index . 0 }}
  value: {{ kindIs "float64" $value | ternary ($value | int64) $value | toString | quote }}
{{- end }}
{{- end }}

{{/* Settings, in order: (list "scheduler__" (list "enabled" true "n_workers" 2)) */}}
{{- define "polars.settings" -}}
{{- $prefix := index . 0 -}}
{{- range $pair := chunk 2 (index . 1) }}
{{- include "polars.variable" (list (printf "PC_CUBLET__%s%s" $prefix (index $pair 0)) (index $pair 1)) }}
{{- end }}
{{- end }}

{{- define "polars.secretValue" -}}
valueFrom:
  secretKeyRef:
    name: {{ index . 0 }}
    key: {{ index . 1 }}
{{- end }}

{{/* Storage options of values: (list "scheduler__anonymous_result_location__s3__" options) */}}
{{- define "polars.options" -}}
{{- $prefix := index . 0 -}}
{{- range index . 1 }}
{{- include "polars.settings" (list $prefix (list .name (ternary (dict "valueFrom" .valueFrom) .value (hasKey . "valueFrom")))) }}
{{- end }}
{{- end }}

{{/* What scheduler and workers have in common. */}}
{{- define "polars.commonEnv" -}}
{{- $v := .Values -}}
{{- if $v.runtime.composed.enabled }}
{{- include "polars.variable" (list "POLARS_EXTRAS" $v.runtime.composed.polarsExtras) }}
{{- include "polars.variable" (list "POLARS_WHL_DIR" "/emptydir/whl") }}
{{- include "polars.variable" (list "UV_PATH" "/emptydir/bin/uv") }}
{{- if $v.runtime.composed.requirements }}
{{- include "polars.variable" (list "PYTHON_REQUIREMENTS" "/requirements.txt") }}
{{- end }}
{{- end }}
{{- include "polars.variable" (list "PLC_LOG_LEVEL" $v.logLevel) }}
{{- include "polars.variable" (list "OTLP_ENDPOINT" $v.telemetry.otlpEndpoint) }}
{{- if $v.acceptEula }}
{{- include "polars.variable" (list "POLARS_EULA_ACCEPTED" "yes") }}
{{- end }}
{{- $own := include "polars.field" "metadata.uid" | fromYaml }}
{{- $token := include "polars.secretValue" (list (include "polars.tokenSecret" .) $v.clusterToken.key) | fromYaml }}
{{- include "polars.settings" (list "" (list "cluster_id" (include "polars.clusterId" .) "instance_id" $own "cluster__token" $token "monitoring__enabled" true)) }}
{{- if $v.disableHostMetrics }}
{{- include "polars.settings" (list "monitoring__host_metrics__" (list "enabled" false)) }}
{{- end }}
{{- if include "polars.enterprise" . }}
{{- include "polars.settings" (list "license__on_prem_enterprise__" (list "license_path" "/mnt/license/license.json")) }}
{{- end }}
{{- end }}

{{- define "polars.field" -}}
valueFrom:
  fieldRef:
    fieldPath: {{ . }}
{{- end }}

{{/* Where results go. The order is that of the official chart. */}}
{{- define "polars.resultsEnv" -}}
{{- $prefix := "scheduler__anonymous_result_location__" -}}
{{- $results := .Values.anonymousResults -}}
{{- if $results.s3.enabled }}
{{- include "polars.settings" (list (printf "%ss3__" $prefix) (list "url" $results.s3.endpoint "presign_duration" $results.s3.presignDuration)) }}
{{- include "polars.options" (list (printf "%ss3__" $prefix) $results.s3.options) }}
{{- else if $results.temporaryStorage.enabled }}
{{- $secret := include "polars.storageSecret" . }}
{{- $id := include "polars.secretValue" (list $secret "aws_access_key_id") | fromYaml }}
{{- $key := include "polars.secretValue" (list $secret "aws_secret_access_key") | fromYaml }}
{{- include "polars.settings" (list (printf "%ss3__" $prefix) (list
    "url" "s3://polars/"
    "presign_duration" $results.temporaryStorage.presignDuration
    "aws_endpoint_url" (printf "http://%s:8333" (include "polars.host" (list . "temporary-storage")))
    "aws_region" "us-east-1"
    "aws_access_key_id" $id
    "aws_secret_access_key" $key
    "external_endpoint" $results.temporaryStorage.presignEndpointUrl)) }}
{{- else if $results.sharedFilesystem.enabled }}
{{- include "polars.settings" (list (printf "%sshared_filesystem__" $prefix) (list
    "path" $results.sharedFilesystem.path
    "mounted_by_clients" $results.sharedFilesystem.mountedByClients
    "external_endpoint" $results.sharedFilesystem.presignEndpointUrl
    "presign_duration" $results.sharedFilesystem.presignDuration)) }}
{{- end }}
{{- end }}

{{- define "polars.schedulerEnv" -}}
{{- $v := .Values -}}
{{- include "polars.commonEnv" . }}
{{- $license := include "polars.license" . | fromYaml }}
{{- if $license.enabled }}
{{- include "polars.settings" (list "license__on_prem__" (list "workspace_id" $license.workspaceId "client_id" $license.clientId "client_secret" $license.clientSecret "cert_dir" "/mnt/license_data")) }}
{{- end }}
{{- include "polars.settings" (list "license__license_server__" (list "uri" $v.controlPlane.address)) }}
{{- include "polars.settings" (list "static_leader__" (list
    "leader_instance_id" (include "polars.field" "metadata.uid" | fromYaml)
    "scheduler_service__public_addr__ip" "127.0.0.1"
    "scheduler_service__public_addr__port" 5050
    "observatory_service__public_addr__ip" "127.0.0.1"
    "observatory_service__public_addr__port" 5049)) }}
{{- include "polars.settings" (list "observatory__" (list
    "enabled" true
    "rest_api__enabled" true
    "max_metrics_bytes_total" $v.observatory.maxMetricsBytesTotal
    "database_path" "/app/observatory_data/observatory.db"
    "cluster_mode" "kubernetes")) }}
{{- include "polars.settings" (list "scheduler__" (list
    "enabled" true
    "n_workers" $v.scheduler.waitForWorkers
    "allow_local_sinks" $v.allowLocalSinks
    "allow_local_scans" $v.allowLocalScans
    "deny_anonymous_users" $v.denyAnonymousUsers)) }}
{{- include "polars.resultsEnv" . }}
{{- if $v.checkpoint.enabled }}
{{- include "polars.settings" (list "scheduler__checkpoint__" (list "enabled" true "period" $v.checkpoint.period)) }}
{{- end }}
{{- if $v.lineage.enabled }}
{{- include "polars.settings" (list "lineage__" (list "enabled" true "transport__http__endpoint" $v.lineage.transport.http.endpoint)) }}
{{- end }}
{{- if $v.tls.enabled }}
{{- range list "scheduler__client_service__connection__tls__" "observatory__rest_api__service__connection__tls__" }}
{{- include "polars.settings" (list . (list "certificate_key_file" "/mnt/tls/tls.crt" "private_key_file" "/mnt/tls/tls.key")) }}
{{- end }}
{{- end }}
{{- if $v.auth.tokensSecret }}
{{- include "polars.settings" (list "scheduler__client_service__auth__" (list "token_file" "/mnt/auth/tokens")) }}
{{- end }}
{{- if $v.auth.jwks.url }}
{{- include "polars.settings" (list "scheduler__client_service__auth__jwks__" (list "url" $v.auth.jwks.url "issuers" $v.auth.jwks.issuers "audience" $v.auth.jwks.audience "user_claim" $v.auth.jwks.userClaim)) }}
{{- end }}
{{- include "polars.settings" (list "scheduler__client_service__auth__" (list "admins" $v.auth.admins)) }}
{{- end }}

{{- define "polars.workerEnv" -}}
{{- $v := .Values -}}
{{- include "polars.commonEnv" . }}
{{- if (include "polars.license" . | fromYaml).enabled }}
{{- include "polars.settings" (list "license__on_prem__" (list "enabled" true)) }}
{{- end }}
{{- $leader := include "polars.host" (list . "scheduler-internal") }}
{{- include "polars.settings" (list "static_leader__" (list
    "leader_instance_id" (printf "%s-scheduler" (include "polars.fullname" .))
    "scheduler_service__public_addr__hostname" $leader
    "scheduler_service__public_addr__port" 5050
    "observatory_service__public_addr__hostname" $leader
    "observatory_service__public_addr__port" 5049)) }}
{{- $ip := include "polars.field" "status.podIP" | fromYaml }}
{{- $shuffle := ternary "shared_filesystem" "local" $v.shuffleData.sharedPersistentVolumeClaim.enabled }}
{{- include "polars.settings" (list "worker__" (list
    "enabled" true
    "task_service__public_addr__ip" $ip
    "shuffle_service__public_addr__ip" $ip
    "heartbeat_period" (printf "%ds" (int64 $v.workerHeartbeatIntervalSecs))
    (printf "shuffle_location__%s__path" $shuffle) "/app/shuffle_data/shuffle_data")) }}
{{- include "polars.variable" (list "POLARS_TEMP_DIR" "/app/temporary_data/temporary_data") }}
{{- with ($v.worker.deployment.runtimeContainer.resources.requests).cpu }}
{{- include "polars.settings" (list "" (list "cpu_reserved" .)) }}
{{- end }}
{{- if and $v.checkpoint.enabled $v.checkpoint.s3.enabled }}
{{- include "polars.settings" (list "worker__checkpoint_location__s3__" (list "url" $v.checkpoint.s3.endpoint)) }}
{{- include "polars.options" (list "worker__checkpoint_location__s3__" $v.checkpoint.s3.options) }}
{{- end }}
{{- end }}
