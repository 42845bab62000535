{{/* Parts of pods that values give as the Kubernetes API knows them. */}}

{{/* Metadata of a pod: (list . "worker" deployment) */}}
{{- define "polars.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $spec := index . 2 -}}
labels:
  {{- include "polars.labels" $root | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
  {{- with merge (dict) $spec.podLabels $root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) $spec.podAnnotations $root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Fields of a pod beside its containers and volumes: (list . "worker" deployment) */}}
{{- define "polars.podSpec" -}}
{{- $root := index . 0 -}}
{{- $spec := index . 2 -}}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $spec.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $field := list "dnsPolicy" "dnsConfig" "schedulerName" "hostAliases" "priorityClassName" "runtimeClassName" "nodeSelector" "affinity" "tolerations" }}
{{- with index $spec $field }}
{{ dict $field . | toYaml }}
{{- end }}
{{- end }}
{{- $spread := $spec.topologySpreadConstraints }}
{{- if and (not $spread) (has (index . 1) (list "scheduler" "worker")) }}
{{- $spread = include "polars.spread" $root | fromYamlArray }}
{{- end }}
{{- with $spread }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $spec.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ int64 . }}
{{- end }}
hostNetwork: {{ $spec.hostNetwork }}
{{- end }}

{{- define "polars.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Fields of a container beside image, ports, variables and mounts: its values. */}}
{{- define "polars.container" -}}
{{- range $field := list "securityContext" "startupProbe" "readinessProbe" "livenessProbe" "resources" }}
{{- with index $ $field }}
{{ dict $field . | toYaml }}
{{- end }}
{{- end }}
{{- with .lifecycleHooks }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* repository:tag and when to pull: (list image "default tag") */}}
{{- define "polars.image" -}}
{{- $image := index . 0 -}}
image: {{ printf "%s:%s" $image.repository (default (index . 1) $image.tag) | quote }}
{{- with $image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{/* What brings the program into a plain Python image: (list . deployment) */}}
{{- define "polars.distContainer" -}}
{{- $root := index . 0 -}}
{{- $composed := $root.Values.runtime.composed -}}
initContainers:
  - name: release
    {{- include "polars.image" (list $composed.dist $root.Chart.AppVersion) | nindent 4 }}
    command: [/bin/cp]
    args: [-R, /opt/., /emptydir] # not -a: the folder is not ours to give a time to
    {{- include "polars.container" (index . 1).distContainer | nindent 4 }}
    volumeMounts:
      - name: release-data
        mountPath: /emptydir
{{- end }}

{{/* Image and command of the scheduler's and the workers' container. */}}
{{- define "polars.program" -}}
{{- $runtime := .Values.runtime -}}
{{- if $runtime.composed.enabled }}
{{- include "polars.image" (list $runtime.composed.runtime "") }}
command: [/emptydir/setup.sh]
args: [/emptydir/bin/pc-cublet, service]
workingDir: /tmp
{{- else }}
{{- include "polars.image" (list $runtime.prebuilt.runtime .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* Mounts and volumes that every such container has. */}}
{{- define "polars.programMounts" -}}
- name: tmp-data
  mountPath: /tmp
{{- if .Values.runtime.composed.enabled }}
- name: release-data
  mountPath: /emptydir
{{- if .Values.runtime.composed.requirements }}
- name: requirements-txt
  mountPath: /requirements.txt
  subPath: requirements.txt
{{- end }}
{{- end }}
{{- end }}

{{- define "polars.programVolumes" -}}
- name: tmp-data
  emptyDir: {}
{{- if .Values.runtime.composed.enabled }}
- name: release-data
  emptyDir: {}
{{- if .Values.runtime.composed.requirements }}
- name: requirements-txt
  configMap:
    name: {{ include "polars.fullname" . }}-requirements-txt
    items:
      - key: requirementsTxt
        path: requirements.txt
{{- end }}
{{- end }}
{{- end }}

{{/* A volume of a claim, a volume of the pod's own, or an emptyDir: (list "shuffle-data" ephemeral claim) */}}
{{- define "polars.volume" -}}
{{- $ephemeral := index . 1 -}}
- name: {{ index . 0 }}
{{- if and $ephemeral $ephemeral.enabled }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $ephemeral.storageClassName }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ $ephemeral.size }}
{{- else if index . 2 }}
  persistentVolumeClaim:
    claimName: {{ index . 2 }}
{{- else }}
  emptyDir: {}
{{- end }}
{{- end }}

{{/* The name of a claim that is enabled, else nothing: (list . values "polars-shuffle-data") */}}
{{- define "polars.claim" -}}
{{- $claim := index . 1 -}}
{{- if ($claim).enabled }}
{{- if and $claim.create $claim.existingClaimName }}
{{- fail (printf "%s: create and existingClaimName are both given; set create=false to use %q" (index . 2) $claim.existingClaimName) }}
{{- end }}
{{- default (printf "%s-%s" (include "polars.fullname" (index . 0)) (index . 2)) $claim.existingClaimName }}
{{- end }}
{{- end }}
