package port

func firewallVerdicts() []string { return []string{"accepted", "dropped", "depends", "unverifiable"} }
