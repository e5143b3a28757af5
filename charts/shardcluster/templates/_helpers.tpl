{{- define "shardcluster.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Prefix of all names. 46 characters leave room for the longest suffix in the 63 of a label. */}}
{{- define "shardcluster.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- .Values.fullnameOverride | default $full | trunc 46 | trimSuffix "-" }}
{{- end }}

{{- define "shardcluster.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "shardcluster.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: shardcluster
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of one component: (list $ "operator"). */}}
{{- define "shardcluster.componentLabels" -}}
{{ include "shardcluster.labels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Selectors cannot be changed later: nothing that a value or a version can change belongs here. */}}
{{- define "shardcluster.selectorLabels" -}}
app.kubernetes.io/name: {{ include "shardcluster.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* What selects the workers of every ShardCluster: labels that the operator sets, see docs/labels-and-annotations.md. */}}
{{- define "shardcluster.workerSelector" -}}
app.kubernetes.io/managed-by: shardcluster-operator
app.kubernetes.io/component: sharder
{{- end }}

{{/* Labels of an object that the Prometheus operator reads: (list $ "operator"). */}}
{{- define "shardcluster.monitoringLabels" -}}
{{ include "shardcluster.componentLabels" . }}
{{- with (index . 0).Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "shardcluster.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "shardcluster.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "shardcluster.image" -}}
{{- $image := printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- with .Values.image.digest }}{{ $image = printf "%s@%s" $image . }}{{ end }}
{{- $image }}
{{- end }}

{{/*
Labels and annotations of a pod: (list $ "operator" <values with podLabels and podAnnotations>).
Without the chart's version, so that an upgrade that changes nothing in a pod does not restart it.
*/}}
{{- define "shardcluster.podMetadata" -}}
labels:
  {{- include "shardcluster.selectorLabels" . | nindent 2 }}
  app.kubernetes.io/part-of: shardcluster
  {{- with (index . 0).Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with (index . 2).podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with (index . 2).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every pod spec begins with: (list $ <values with nodeSelector, tolerations ...>). */}}
{{- define "shardcluster.podSpec" -}}
{{- $ := index . 0 }}
{{- $values := index . 1 -}}
# Variables such as SHARDCLUSTER_PORT=tcp://... would stand beside the program's own.
enableServiceLinks: false
securityContext:
  {{- toYaml $.Values.podSecurityContext | nindent 2 }}
{{- with $.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" }}
{{- with get $values $field }}
{{ $field }}: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What every container begins with. */}}
{{- define "shardcluster.container" -}}
image: {{ include "shardcluster.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{/* The address of a Service of this release, from any namespace: (list $ "simulator" <port>). */}}
{{- define "shardcluster.address" -}}
{{- $ := index . 0 }}
{{- printf "%s-%s.%s:%d" (include "shardcluster.fullname" $) (index . 1) $.Release.Namespace (int (index . 2)) }}
{{- end }}

{{- define "shardcluster.trialSecret" -}}
{{ include "shardcluster.fullname" . }}-trial
{{- end }}

{{/* A Secret the user names, or the trial's, or a sentence that says what is missing: (list $ <ref> <its path in the values>). */}}
{{- define "shardcluster.secretName" -}}
{{- $ := index . 0 }}
{{- $name := (index . 1).name }}
{{- if and (not $name) (not $.Values.simulator.enabled) }}
{{- fail (printf "%s.name is empty: name an existing Secret, or set simulator.enabled for a trial without a bot" (index . 2)) }}
{{- end }}
{{- $name | default (include "shardcluster.trialSecret" $) }}
{{- end }}
