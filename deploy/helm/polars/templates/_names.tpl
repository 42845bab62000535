{{/* Names and labels, as the official chart gives them. Takes the root context. */}}

{{- define "polars.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "polars.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{ default $whole .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The DNS name of a Service: (list . "scheduler-internal") */}}
{{- define "polars.host" -}}
{{- $root := index . 0 -}}
{{ include "polars.fullname" $root }}-{{ index . 1 }}.{{ $root.Release.Namespace }}.svc.cluster.local
{{- end }}

{{- define "polars.clusterId" -}}
{{ default (printf "%s/%s" .Release.Namespace .Release.Name) .Values.clusterId }}
{{- end }}

{{- define "polars.selectorLabels" -}}
app.kubernetes.io/name: {{ include "polars.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "polars.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "polars.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* What selects the pods of a component: (list . "worker") */}}
{{- define "polars.component" -}}
{{ include "polars.selectorLabels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Who pods run as at the API server: (list . "worker") */}}
{{- define "polars.serviceAccountName" -}}
{{- $root := index . 0 -}}
{{- $account := (index $root.Values (index . 1)).serviceAccount -}}
{{- $own := printf "%s-%s" (include "polars.fullname" $root) (index . 1) -}}
{{ default (ternary $own "default" $account.create) $account.name }}
{{- end }}
