package manifest

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// kind is what a YAML value is.
type kind string

const (
	null     kind = "nothing"
	boolean  kind = "a truth value"
	integer  kind = "a number"
	fraction kind = "a fraction"
	date     kind = "a date"
	text     kind = "text"
	list     kind = "a list"
	dict     kind = "a map"
)

// The implicit types of YAML 1.1 as PyYAML 3.11 knows them (its resolver.py), which is what LAIN read with.
var (
	intPattern   = regexp.MustCompile(`^[-+]?(0b[0-1_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(:[0-5]?[0-9])+)$`)
	floatPattern = regexp.MustCompile(`^([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9_]+([eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$`)
	datePattern  = regexp.MustCompile(`^[0-9]{4}-([0-9]{2}-[0-9]{2}|[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?([ \t]*(Z|[-+][0-9]{1,2}(:?[0-9]{2})?))?)$`)

	words = map[string]kind{"": null, "~": null, "null": null, "Null": null, "NULL": null}
	truth = map[string]bool{
		"yes": true, "Yes": true, "YES": true, "no": false, "No": false, "NO": false,
		"true": true, "True": true, "TRUE": true, "false": false, "False": false, "FALSE": false,
		"on": true, "On": true, "ON": true, "off": false, "Off": false, "OFF": false,
	}
)

// maxNumber is how long a text may be that is looked at as a number or a date.
const maxNumber = 40

// resolve gives a plain scalar its YAML 1.1 type. number is set for integers only.
func resolve(s string) (k kind, number int64) {
	if k, ok := words[s]; ok {
		return k, 0
	}
	if _, ok := truth[s]; ok {
		return boolean, 0
	}
	if len(s) > maxNumber {
		return text, 0
	}
	switch {
	case intPattern.MatchString(s):
		return wholeNumber(s)
	case floatPattern.MatchString(s):
		return fraction, 0
	case datePattern.MatchString(s):
		return date, 0
	}
	return text, 0
}

// wholeNumber reads what intPattern matched. A number beyond 64 bits stays text.
func wholeNumber(s string) (kind, int64) {
	digits := strings.ReplaceAll(s, "_", "")
	sign := int64(1)
	if digits[0] == '-' {
		sign = -1
	}
	digits = strings.TrimLeft(digits, "+-")
	if strings.Contains(digits, ":") {
		return sexagesimal(digits, sign)
	}
	n, err := strconv.ParseInt(digits, 0, 64) // knows 0b, 0x and the leading 0 of octal
	if err != nil {
		return text, 0
	}
	return integer, sign * n
}

// sexagesimal reads 12:30 as 750.
func sexagesimal(digits string, sign int64) (kind, int64) {
	var n int64
	for part := range strings.SplitSeq(digits, ":") {
		v, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n > math.MaxInt64/60-60 {
			return text, 0
		}
		n = n*60 + v
	}
	return integer, sign * n
}
