package config

// Usage says how long counts of tokens are kept. What is older than HoursKept is
// kept by day.
type Usage struct {
	HoursKept Duration `json:"hours_kept" preset:"14d" min:"1d" max:"31d" doc:"How long a key's tokens are counted by the hour."`
	DaysKept  Duration `json:"days_kept" preset:"400d" min:"1d" max:"1100d" doc:"How long a key's tokens are counted by the day. Not below usage.hours_kept."`
}
