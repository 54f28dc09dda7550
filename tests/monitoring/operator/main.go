// Judges documents by the Prometheus operator's own types: reads YAML from standard input, decodes each PodMonitor and PrometheusRule as strictly as an API
// server with --validate=strict would, and demands besides what the types' kubebuilder markers do, as far as our documents have such fields. Where the types take
// what would be of no use to us (a selector of every pod, no endpoint, no group), it is wrong too. Prints a line for each document: what it read, or what is
// wrong with which field. Ends with 1 when anything is wrong, and when there was no document.
//
// PromQL is not judged: promtool does that.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	documents "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Markers are comments, which a program cannot ask for. Those on what is judged below are to be read again when go.mod names another version.
var (
	// The marker of Duration and NonEmptyDuration; `build` compares.
	duration = regexp.MustCompile(`^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$`)
	// LabelName says in words what every Prometheus takes: versions before 3 take no other.
	labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

var kinds = map[string]func(document []byte) (read string, wrong []error){
	monitoringv1.PodMonitorsKind:    strictly(judgePodMonitor),
	monitoringv1.PrometheusRuleKind: strictly(judgeRules),
}

func main() {
	if err := judgeAll(os.Stdin, os.Stdout); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// judgeAll prints a line for each document, and fails when one of them is wrong or there is none. A document of nothing but comments is none.
func judgeAll(from io.Reader, to io.Writer) error {
	stream := documents.NewYAMLReader(bufio.NewReader(from))
	read, wrong := 0, 0
	for {
		text, err := stream.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		document, err := yaml.YAMLToJSONStrict(text)
		if err == nil && bytes.Equal(document, []byte("null")) {
			continue
		}
		read++
		said := ""
		if err == nil {
			said, err = judge(document)
		}
		if err != nil {
			wrong++
			said = err.Error()
		}
		fmt.Fprintf(to, "document %d: %s\n", read, strings.ReplaceAll(said, "\n", " "))
	}
	if read == 0 {
		return errors.New("no document was read")
	}
	if wrong > 0 {
		return fmt.Errorf("wrong documents: %d of %d", wrong, read)
	}
	return nil
}

// judge tells what one document has, or fails with all that is wrong with it.
func judge(document []byte) (string, error) {
	var head metav1.PartialObjectMetadata
	if err := json.UnmarshalCaseSensitivePreserveInts(document, &head); err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s %s/%s", head.Kind, head.Namespace, head.Name)
	judgeKind, known := kinds[head.Kind]
	if !known || head.APIVersion != monitoringv1.SchemeGroupVersion.String() {
		return "", fmt.Errorf("%s: kind %q of apiVersion %q is none that is judged", name, head.Kind, head.APIVersion)
	}
	read, wrong := judgeKind(document)
	if len(wrong) == 0 {
		return name + ": " + read, nil
	}
	texts := make([]string, len(wrong))
	for i, one := range wrong {
		texts[i] = one.Error()
	}
	return "", fmt.Errorf("%s: %s", name, strings.Join(texts, "; "))
}

// strictly makes a judge of documents out of one of decoded objects. Unlike encoding/json, it tells names apart by case, as API servers do.
func strictly[T any](judgeObject func(*T) (string, field.ErrorList)) func([]byte) (string, []error) {
	return func(document []byte) (string, []error) {
		object := new(T)
		wrong, err := json.UnmarshalStrict(document, object)
		if err != nil {
			return "", []error{err}
		}
		read, demanded := judgeObject(object)
		for _, one := range demanded {
			wrong = append(wrong, one)
		}
		return read, wrong
	}
}

func judgePodMonitor(monitor *monitoringv1.PodMonitor) (string, field.ErrorList) {
	wrong := judgeMetadata(&monitor.ObjectMeta)
	spec := field.NewPath("spec")
	selector := spec.Child("selector")
	if len(monitor.Spec.Selector.MatchLabels)+len(monitor.Spec.Selector.MatchExpressions) == 0 {
		wrong = append(wrong, field.Required(selector, "an empty one would select every pod"))
	}
	wrong = append(wrong, metavalidation.ValidateLabelSelector(&monitor.Spec.Selector, metavalidation.LabelSelectorValidationOptions{}, selector)...)
	endpoints := spec.Child("podMetricsEndpoints")
	if len(monitor.Spec.PodMetricsEndpoints) == 0 {
		wrong = append(wrong, field.Required(endpoints, "without one nothing is scraped"))
	}
	for i := range monitor.Spec.PodMetricsEndpoints {
		wrong = append(wrong, judgeEndpoint(&monitor.Spec.PodMetricsEndpoints[i], endpoints.Index(i))...)
	}
	return fmt.Sprintf("endpoints: %d", len(monitor.Spec.PodMetricsEndpoints)), wrong
}

func judgeEndpoint(endpoint *monitoringv1.PodMetricsEndpoint, at *field.Path) field.ErrorList {
	var wrong field.ErrorList
	if endpoint.Port == nil {
		wrong = append(wrong, field.Required(at.Child("port"), "the name of the pod's port"))
	} else {
		for _, why := range validation.IsValidPortName(*endpoint.Port) {
			wrong = append(wrong, field.Invalid(at.Child("port"), *endpoint.Port, why))
		}
	}
	wrong = append(wrong, judgeDuration(&endpoint.Interval, at.Child("interval"))...)
	return append(wrong, judgeDuration(&endpoint.ScrapeTimeout, at.Child("scrapeTimeout"))...)
}

func judgeRules(rules *monitoringv1.PrometheusRule) (string, field.ErrorList) {
	wrong := judgeMetadata(&rules.ObjectMeta)
	groups := field.NewPath("spec", "groups")
	if len(rules.Spec.Groups) == 0 {
		wrong = append(wrong, field.Required(groups, "without one nothing is evaluated"))
	}
	names := map[string]bool{}
	count := 0
	for i := range rules.Spec.Groups {
		group, at := &rules.Spec.Groups[i], groups.Index(i)
		if group.Name == "" {
			wrong = append(wrong, field.Required(at.Child("name"), ""))
		} else if names[group.Name] {
			wrong = append(wrong, field.Duplicate(at.Child("name"), group.Name))
		}
		names[group.Name] = true
		wrong = append(wrong, judgeLabelNames(group.Labels, at.Child("labels"))...)
		wrong = append(wrong, judgeDuration(group.Interval, at.Child("interval"))...)
		for j := range group.Rules {
			wrong = append(wrong, judgeRule(&group.Rules[j], at.Child("rules").Index(j))...)
		}
		count += len(group.Rules)
	}
	return fmt.Sprintf("groups: %d, rules: %d", len(rules.Spec.Groups), count), wrong
}

func judgeRule(rule *monitoringv1.Rule, at *field.Path) field.ErrorList {
	var wrong field.ErrorList
	if (rule.Alert == "") == (rule.Record == "") {
		wrong = append(wrong, field.Invalid(at, rule.Alert+rule.Record, "exactly one of alert and record is wanted"))
	}
	if rule.Expr.StrVal == "" {
		wrong = append(wrong, field.Required(at.Child("expr"), "a query"))
	}
	wrong = append(wrong, judgeDuration(rule.For, at.Child("for"))...)
	if rule.KeepFiringFor != nil && *rule.KeepFiringFor == "" {
		wrong = append(wrong, field.Required(at.Child("keep_firing_for"), "it may be left out, and not be empty"))
	}
	wrong = append(wrong, judgeDuration(rule.KeepFiringFor, at.Child("keep_firing_for"))...)
	wrong = append(wrong, judgeLabelNames(rule.Labels, at.Child("labels"))...)
	return append(wrong, judgeLabelNames(rule.Annotations, at.Child("annotations"))...)
}

func judgeMetadata(meta *metav1.ObjectMeta) field.ErrorList {
	var wrong field.ErrorList
	at := field.NewPath("metadata")
	for _, why := range validation.IsDNS1123Subdomain(meta.Name) {
		wrong = append(wrong, field.Invalid(at.Child("name"), meta.Name, why))
	}
	return append(wrong, metavalidation.ValidateLabels(meta.Labels, at.Child("labels"))...)
}

func judgeDuration[T ~string](value *T, at *field.Path) field.ErrorList {
	if value == nil || duration.MatchString(string(*value)) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, string(*value), "no duration as Prometheus writes them: 15s, 1h30m")}
}

func judgeLabelNames(labels map[string]string, at *field.Path) field.ErrorList {
	var wrong field.ErrorList
	for name := range labels {
		if !labelName.MatchString(name) {
			wrong = append(wrong, field.Invalid(at.Key(name), name, "no label's name of Prometheus"))
		}
	}
	return wrong
}
