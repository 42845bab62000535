{{/* Secrets: whose they are, what is in them. */}}

{{- define "polars.tokenSecret" -}}
{{ default (printf "%s-cluster-token" (include "polars.fullname" .)) .Values.clusterToken.existingSecret }}
{{- end }}

{{- define "polars.storageSecret" -}}
{{ default (printf "%s-temporary-storage" (include "polars.fullname" .)) .Values.temporaryStorage.existingSecret }}
{{- end }}

{{/* What stands in the Secret already, so that an upgrade keeps it, else the new one: (list . name key new) */}}
{{- define "polars.kept" -}}
{{- $found := lookup "v1" "Secret" (index . 0).Release.Namespace (index . 1) -}}
{{ dig "data" (index . 2) (b64enc (index . 3)) $found }}
{{- end }}

{{/* "true" with a license file, else nothing. `license: null` is a way to say none. */}}
{{- define "polars.enterprise" -}}
{{- if ((.Values.license).onPremEnterprise).enabled }}true{{ end }}
{{- end }}

{{/* The license of both spellings: enabled, and values as variables take them. */}}
{{- define "polars.license" -}}
{{- $v := .Values -}}
{{- $onPrem := ($v.license).onPrem | default dict -}}
{{- $given := dict -}}
{{- range list "workspaceId" "clientId" "clientSecret" }}
{{- $value := index $v . | default (index $onPrem .) }}
{{- if $value }}
{{- $_ := set $given . $value }}
{{- end }}
{{- end }}
{{- $enabled := or $onPrem.enabled (gt (len $given) 0) -}}
{{- if and $enabled (include "polars.enterprise" .) }}
{{- fail "license.onPrem and license.onPremEnterprise are both given; remove one" }}
{{- end }}
{{- if $enabled }}
{{- range list "workspaceId" "clientId" "clientSecret" }}
{{- if not (hasKey $given .) }}
{{- fail (printf "the license needs workspaceId, clientId and clientSecret; %s is missing" .) }}
{{- end }}
{{- end }}
{{- if kindIs "string" $given.clientSecret }}
{{- $secret := printf "%s-license" (include "polars.fullname" .) }}
{{- $_ := set $given "text" $given.clientSecret }}
{{- $_ := set $given "clientSecret" (include "polars.secretValue" (list $secret "client_secret") | fromYaml) }}
{{- end }}
{{- end }}
{{- toYaml (set $given "enabled" $enabled) }}
{{- end }}
