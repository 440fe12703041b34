{{- define "backup.name" -}}
{{- printf "%s" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "backup.selector" -}}
app.kubernetes.io/name: backup
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "backup.labels" -}}
{{ include "backup.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "backup.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* What a pod has in both modes, apart from its containers. */}}
{{- define "backup.pod" -}}
automountServiceAccountToken: false
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: passphrase
    secret:
      secretName: {{ .Values.secrets.passphrase.name }}
      items:
        - key: {{ .Values.secrets.passphrase.key }}
          path: passphrase
  - name: scratch
    emptyDir: {}
{{- if .Values.config }}
  - name: config
    configMap:
      name: {{ include "backup.name" . }}
{{- end }}
{{- with .Values.http.tlsSecret }}
  - name: tls
    secret:
      secretName: {{ . }}
{{- end }}
{{- with .Values.persistence.repository.existingClaim }}
  - name: repository
    persistentVolumeClaim:
      claimName: {{ . }}
{{- end }}
{{- end -}}

{{/* What a container has in both modes. */}}
{{- define "backup.container" -}}
image: {{ include "backup.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.secrets.environment }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
env:
{{- if .Values.config }}
  - name: BACKUP_CONFIG
    value: /etc/backup/backup.toml
{{- end }}
{{- with .Values.repository.url }}
  - name: BACKUP_REPOSITORY
    value: {{ . | quote }}
{{- end }}
  - name: BACKUP_PASSPHRASE_FILE
    value: /run/backup/passphrase
{{- with .Values.zone }}
  - name: BACKUP_ZONE
    value: {{ . | quote }}
{{- end }}
{{- if and .Values.retention (not .Values.config) }}
  - name: BACKUP_RETENTION
    value: {{ .Values.retention | quote }}
{{- end }}
  - name: HOME
    value: /var/lib/backup
{{- if eq .Values.mode "daemon" }}
{{- if not .Values.config }}
  - name: BACKUP_CRON
    value: {{ .Values.schedule | quote }}
{{- end }}
  - name: BACKUPD_STATE
    value: /var/lib/backup/state
  - name: BACKUPD_LISTEN
    value: {{ ternary "0.0.0.0:8420" "127.0.0.1:8420" .Values.http.expose | quote }}
{{- with .Values.http.hosts }}
  - name: BACKUPD_HOSTS
    value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.http.tlsSecret }}
  - name: BACKUPD_TLS_CERTIFICATE
    value: /run/tls/tls.crt
  - name: BACKUPD_TLS_KEY
    value: /run/tls/tls.key
{{- end }}
{{- end }}
{{- range $name, $value := .Values.env }}
  - name: {{ $name }}
    value: {{ $value | quote }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
resources: {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{- define "backup.mounts" -}}
- name: passphrase
  mountPath: /run/backup
  readOnly: true
- name: scratch
  mountPath: /tmp
{{- if .Values.config }}
- name: config
  mountPath: /etc/backup
  readOnly: true
{{- end }}
{{- if .Values.http.tlsSecret }}
- name: tls
  mountPath: /run/tls
  readOnly: true
{{- end }}
{{- if .Values.persistence.repository.existingClaim }}
- name: repository
  mountPath: /repository
{{- end }}
{{- end -}}

{{/* Asks for /health from inside: until the daemon is exposed nobody else can. */}}
{{- define "backup.probe" -}}
{{- if .Values.http.expose }}
httpGet:
  path: /health
  port: http
  scheme: {{ ternary "HTTPS" "HTTP" (ne .Values.http.tlsSecret "") }}
{{- else }}
exec:
  command:
    - bash
    - -c
    - >-
      exec 3<>/dev/tcp/127.0.0.1/8420 &&
      printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 &&
      head -1 <&3 | grep -q ' 200 '
{{- end }}
{{- end -}}
