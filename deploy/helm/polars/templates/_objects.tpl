{{/* Objects and volumes of which there are several alike. */}}

{{/* A Service: (list . "observatory" "scheduler" values (list "obser-rest" 3001)) */}}
{{- define "polars.service" -}}
{{- $root := index . 0 -}}
{{- $values := index . 3 -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "polars.fullname" $root }}-{{ index . 1 }}
  labels:
    {{- include "polars.labels" $root | nindent 4 }}
  {{- with $values.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $values.type }}
  selector:
    {{- include "polars.component" (list $root (index . 2)) | nindent 4 }}
  ports:
    {{- range $port := chunk 2 (index . 4) }}
    - {name: {{ index $port 0 }}, port: {{ index $port 1 }}, targetPort: {{ index $port 0 }}, protocol: TCP}
    {{- end }}
{{- end }}

{{/* A claim that values say to make: (list . values "polars-shuffle-data" "ReadWriteMany" "1Gi") */}}
{{- define "polars.newClaim" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- if and ($values).enabled $values.create }}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "polars.claim" (list $root $values (index . 2)) }}
  labels:
    {{- include "polars.labels" $root | nindent 4 }}
spec:
  accessModes: [{{ index . 3 }}]
  {{- with $values.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ index . 4 }}
{{- end }}
{{- end }}

{{- define "polars.licenseVolume" -}}
{{- if include "polars.enterprise" . }}
{{- with .Values.license.onPremEnterprise }}
- name: license
  secret:
    secretName: {{ required "license.onPremEnterprise.secretName is missing" .secretName }}
    items:
      - {key: {{ required "license.onPremEnterprise.secretProperty is missing" .secretProperty }}, path: license.json}
{{- end }}
{{- end }}
{{- end }}

{{- define "polars.resultsVolume" -}}
{{- with .Values.anonymousResults.sharedFilesystem }}
{{- if .enabled }}
- name: results
  persistentVolumeClaim:
    claimName: {{ required "anonymousResults.sharedFilesystem.existingClaimName is missing" .existingClaimName }}
{{- end }}
{{- end }}
{{- end }}
