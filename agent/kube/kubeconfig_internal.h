/* Seam for tests; internal to agent/kube. */
#pragma once

/* Where a pod finds its service account. */
extern const char *kubeconfig_service_account;
