{{/* The name of the chart, for labels. */}}
{{- define "name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 54 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the objects. The limit is 54 characters: the longest suffix, "-gateway", makes 62, and the name of a
Service may have 63. */}}
{{- define "fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 54 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 54 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 54 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: required if serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The labels that select the pods. They must not change between versions. */}}
{{- define "selectorLabels" -}}
app.kubernetes.io/name: {{ include "name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{- define "gatewayName" -}}
{{ include "fullname" . }}-gateway
{{- end -}}

{{/* The URL at which users reach the gateway. The default is the name of the Service, which only pods can reach. */}}
{{- define "externalUrl" -}}
{{- default (printf "https://%s.%s.svc" (include "gatewayName" .) .Release.Namespace) .Values.externalUrl -}}
{{- end -}}

{{- define "externalHost" -}}
{{- (urlParse (include "externalUrl" .)).hostname -}}
{{- end -}}

{{/* Secret with the certificate of the aggregation listener. Empty if the server issues its own. */}}
{{- define "servingSecret" -}}
{{- if eq .Values.certificates.mode "files" -}}
{{- required "certificates.files.secretName: required if certificates.mode is files" .Values.certificates.files.secretName -}}
{{- else if eq .Values.certificates.mode "cert-manager" -}}
{{- include "fullname" . }}-tls
{{- end -}}
{{- end -}}

{{/* Secret with the certificate of the gateway. Empty if the server issues its own. */}}
{{- define "gatewaySecret" -}}
{{- default (include "servingSecret" .) .Values.gateway.tls.secretName -}}
{{- end -}}

{{- define "encryptionSecret" -}}
{{- default (printf "%s-encryption" (include "fullname" .)) .Values.store.etcd.encryption.secretName -}}
{{- end -}}
