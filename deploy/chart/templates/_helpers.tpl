{{/* Labels of every object. */}}
{{- define "svcmirror.labels" -}}
app.kubernetes.io/name: svcmirror
linkerd.io/extension: multicluster
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The name of what lies in no namespace: two installations do not share rights. As `svcmirror install` names it. */}}
{{- define "svcmirror.clusterName" -}}
svcmirror{{ if ne .Release.Namespace "linkerd-multicluster" }}-{{ .Release.Namespace }}{{ end }}
{{- end }}

{{/* A version may be a tag, a digest (@sha256:...), or a tag with its digest. */}}
{{- define "svcmirror.image" -}}
{{- $version := .Values.controllerImageVersion | default .Chart.AppVersion -}}
{{ .Values.controllerImage }}{{ if not (hasPrefix "@" $version) }}:{{ end }}{{ $version }}
{{- end }}

{{- define "svcmirror.subjects" -}}
subjects:
- kind: ServiceAccount
  name: svcmirror
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Arguments of the agent: only what differs from its own defaults. */}}
{{- define "svcmirror.args" -}}
- run
- --namespace=$(POD_NAMESPACE)
{{- with .Values }}
{{- if ne .logLevel "info" }}
- --log-level={{ .logLevel }}
{{- end }}
{{- if eq .logFormat "json" }}
- --log-format=json
{{- end }}
{{- if .clusterName }}
- {{ printf "--cluster-name=%s" .clusterName | quote }}
{{- end }}
{{- if not .enableHeadlessServices }}
- --enable-headless-services=false
{{- end }}
{{- if kindIs "bool" .enableNamespaceCreation }}
- --enable-namespace-creation={{ .enableNamespaceCreation }}
{{- end }}
{{- with .localServiceMirror }}
{{- if ne .federatedServiceSelector "mirror.linkerd.io/federated=member" }}
- {{ printf "--federated-service-selector=%s" .federatedServiceSelector | quote }}
{{- end }}
{{- if .excludedLabels }}
- {{ printf "--excluded-labels=%s" .excludedLabels | quote }}
{{- end }}
{{- if .excludedAnnotations }}
- {{ printf "--excluded-annotations=%s" .excludedAnnotations | quote }}
{{- end }}
{{- end }}
{{- range .agentFlags }}
- {{ quote . }}
{{- end }}
{{- end }}
{{- end }}
