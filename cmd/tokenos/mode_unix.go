//go:build unix

package main

import "io/fs"

// openToOthers reports whether others than its owner can read the file.
func openToOthers(st fs.FileInfo) bool { return st.Mode().Perm()&0o077 != 0 }
