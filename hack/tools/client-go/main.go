// client-go lists the namespaces of a cluster each time that it reads a line, and prints their names,
// or the error, in one line of JSON: a program that lives longer than its credentials.
//
//	client-go KUBECONFIG CONTEXT
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

type answer struct {
	Namespaces []string `json:"namespaces,omitempty"`
	Error      string   `json:"error,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: client-go KUBECONFIG CONTEXT")
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: args[0]}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: args[1]}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return err
	}
	if config.ExecProvider != nil {
		// It reads its stdin itself.
		config.ExecProvider.StdinUnavailable = true
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := json.NewEncoder(os.Stdout).Encode(list(client)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func list(client kubernetes.Interface) answer {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return answer{Error: err.Error()}
	}
	var names []string
	for _, namespace := range list.Items {
		names = append(names, namespace.Name)
	}
	return answer{Namespaces: names}
}
