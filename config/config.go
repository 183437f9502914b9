package config

// Config is the whole configuration. Durations are [Duration]; every limit
// stands in the tags. The zero value is not usable, [Load] makes a checked one.
//
// Tags: json = name, preset = default (huma's own default tag cannot hold a
// duration), doc, secret, required, min and max (durations); minimum, maximum,
// minLength, maxLength, maxItems, pattern and enum are huma's. A key without
// required has a usable default.
type Config struct {
	Server          Server    `json:"server" doc:"The public side: REST API and pages."`
	Ops             Ops       `json:"ops" doc:"The side for operators."`
	Hook            Hook      `json:"hook" doc:"Where Hydra asks before it issues a token (docs/hook.md)."`
	Hydra           Hydra     `json:"hydra" doc:"The Ory Hydra whose clients are our keys."`
	Ledger          Ledger    `json:"ledger" doc:"The SQL database that holds the definition of every key."`
	Secret          Secret    `json:"secret" required:"true" secret:"true" minLength:"32" maxLength:"1024" pattern:"^[!-+.-~-]*$" patternDescription:"visible ASCII characters without spaces and commas" doc:"Server secret: signs the event chain and derives what is shown once. At least 32 random characters, for example from \"openssl rand -base64 32\". Losing it ends replays and breaks the chain's proof."`
	PreviousSecrets []Secret  `json:"previous_secrets" secret:"true" maxItems:"8" minLength:"32" maxLength:"1024" pattern:"^[!-+.-~-]*$" patternDescription:"visible ASCII characters without spaces and commas" doc:"Server secrets used before, newest first: still accepted, never used for anything new."`
	Keys            Keys      `json:"keys" doc:"How keys may be changed."`
	Usage           Usage     `json:"usage" doc:"How long it is kept what keys were used for."`
	Limits          Limits    `json:"limits" doc:"How often one process answers whom. Each limit is a bucket: _burst requests at once, _per_minute of them afterwards."`
	Dashboard       Dashboard `json:"dashboard" doc:"The pages for people."`
	Status          Status    `json:"status" doc:"The status lists at /status, which tell verifiers of JWTs what keys have ended."`
	Log             Log       `json:"log" doc:"What is logged, to standard error."`

	// Warnings are sentences for the person who starts the program: the
	// configuration is usable, but something about it is unwise. They name
	// files and keys, and hold no secrets.
	Warnings []string `json:"-"`
	// Exposed are those of the warnings that are about files with secrets which
	// every user of the machine can read.
	Exposed []string `json:"-"`

	// Policies is what keys.policy_file holds; nil if none is set.
	Policies *PolicyFile `json:"-"`

	sources map[string]string
}

// Server is the public side.
type Server struct {
	Listen            string   `json:"listen" preset:"127.0.0.1:8080" doc:"Address to listen on, host:port. Port 0 takes a free one."`
	PublicURL         string   `json:"public_url" preset:"" doc:"HTTPS address under which callers reach us. Required, except on a loopback address with our own TLS; then it is made from server.listen."`
	TrustedProxies    []string `json:"trusted_proxies" maxItems:"64" uniqueItems:"true" doc:"Addresses (IP or CIDR) of the proxies that end TLS before us and set X-Forwarded-Proto and X-Forwarded-For. This or server.tls is required, because plain HTTP is refused."`
	TLS               TLS      `json:"tls" doc:"Our own TLS."`
	ReadHeaderTimeout Duration `json:"read_header_timeout" preset:"5s" min:"100ms" max:"1m" doc:"Longest time for a request's header."`
	ReadTimeout       Duration `json:"read_timeout" preset:"10s" min:"100ms" max:"5m" doc:"Longest time for a whole request, header and body. Not below server.read_header_timeout."`
	WriteTimeout      Duration `json:"write_timeout" preset:"30s" min:"1s" max:"10m" doc:"Longest time from the end of a request's header to the end of the answer."`
	RequestTimeout    Duration `json:"request_timeout" preset:"25s" min:"500ms" max:"10m" doc:"Longest time for the work of one request. Below server.write_timeout, so that the caller gets an answer, and above hydra.change_timeout."`
	IdleTimeout       Duration `json:"idle_timeout" preset:"120s" min:"1s" max:"1h" doc:"How long an idle connection is kept."`
	ShutdownTimeout   Duration `json:"shutdown_timeout" preset:"20s" min:"0s" max:"10m" doc:"How long requests in flight may take when the program is told to stop."`
	MaxHeaderBytes    int      `json:"max_header_bytes" preset:"16384" minimum:"4096" maximum:"1048576" doc:"Largest request header, in bytes."`
	MaxBodyBytes      int      `json:"max_body_bytes" preset:"65536" minimum:"4096" maximum:"1048576" doc:"Largest request body, in bytes."`
}

// TLS is a certificate and its key, both PEM files, both set or both empty.
type TLS struct {
	CertFile string `json:"cert_file" preset:"" doc:"PEM file of our certificate, followed by its chain. Read again when it changes."`
	KeyFile  string `json:"key_file" preset:"" doc:"PEM file of the certificate's private key."`
}

// Enabled reports whether the server ends TLS itself.
func (t TLS) Enabled() bool { return t.CertFile != "" && t.KeyFile != "" }

// Ops is the side for operators: health and metrics, without TLS.
type Ops struct {
	Listen  string `json:"listen" preset:"" doc:"Address for health checks and metrics without TLS and without a password, host:port: keep it on a private network. Empty: none."`
	Metrics bool   `json:"metrics" preset:"true" doc:"Serve metrics for Prometheus at /metrics of ops.listen (docs/operations.md)."`
}

// Hydra says where Hydra is and how patient we are with it.
type Hydra struct {
	AdminURL      string   `json:"admin_url" required:"true" preset:"" doc:"URL of Hydra's admin API. It asks nobody for a password: keep it on a private network."`
	PublicURL     string   `json:"public_url" required:"true" preset:"" doc:"HTTPS URL of Hydra's public API, where keys buy tokens and this program checks their credentials. Plain HTTP only on a loopback address."`
	CAFile        string   `json:"ca_file" preset:"" doc:"PEM file of the certificate authorities that sign Hydra's certificates. Empty: those of the system."`
	Timeout       Duration `json:"timeout" preset:"5s" min:"100ms" max:"1m" doc:"Longest time for one call to Hydra."`
	ChangeTimeout Duration `json:"change_timeout" preset:"20s" min:"200ms" max:"5m" doc:"Longest time for all calls to Hydra of one change. Above hydra.timeout."`
	Retries       int      `json:"retries" preset:"2" minimum:"0" maximum:"5" doc:"How often a call that is safe to repeat is repeated."`
	MaxConcurrent int      `json:"max_concurrent" preset:"32" minimum:"1" maximum:"1000" doc:"Most calls to Hydra at the same time; further ones wait."`
}

// Ledger is the SQL database.
type Ledger struct {
	// URL is secret because of the password in it; [Config.Print] shows it
	// without.
	URL            Secret   `json:"url" required:"true" secret:"true" maxLength:"2048" doc:"sqlite:///absolute/path/file.db (one process) or postgres://user:password@host/database (any number)."`
	MaxConnections int      `json:"max_connections" preset:"10" minimum:"1" maximum:"500" doc:"Most connections to the database."`
	Lease          Duration `json:"lease" preset:"60s" min:"2s" max:"1h" doc:"How long a change may go unfinished before another process takes it over. More than 5s above hydra.change_timeout."`
}

// Keys says how keys may be changed.
type Keys struct {
	RequireIfMatch bool   `json:"require_if_match" preset:"false" doc:"Refuse a PATCH without If-Match (428)."`
	PolicyFile     string `json:"policy_file" preset:"" doc:"YAML file of the rules for keys: lifetimes, scopes, how many (docs/policy.md). Read at start. Empty: no rules beyond the limits."`
}

// Status is about status lists.
type Status struct {
	TTL Duration `json:"ttl" preset:"5s" min:"1s" max:"5m" doc:"How long a verifier may go by a status list without fetching it again, in whole seconds: how long a JWT of a key that was disabled goes on being accepted."`
}

// Log says what is logged.
type Log struct {
	Level  string `json:"level" preset:"info" enum:"debug,info,warn,error" doc:"Least level that is logged: debug, info, warn or error."`
	Format string `json:"format" preset:"json" enum:"json,text" doc:"Form of the lines: json or text."`
}

// Source says where the value of a key came from: "default", "tokenos.yaml:3",
// "env TOKENOS_LOG_LEVEL", "env TOKENOS_SECRET_FILE", "flag --log.level". A key
// that does not exist has the source "".
func (c *Config) Source(path string) string { return c.sources[path] }
