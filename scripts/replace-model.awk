# Replaces the value of the top-level member "model" of a JSON object by `model` (an environment variable: -v would
# read backslashes). Everything else stays as it is. For machines without jq.
{ text = text $0 "\n" }
END {
    depth = 0; inString = 0; skipping = 0; key = ""
    length_ = length(text)
    for (i = 1; i <= length_; i++) {
        c = substr(text, i, 1)
        if (inString) {
            if (c == "\\") { token = token c substr(text, i + 1, 1); i++; continue }
            token = token c
            if (c != "\"") continue
            inString = 0
            if (!skipping) { out = out token }
            if (depth == 1) key = token
            continue
        }
        if (c == "\"") { inString = 1; token = c; continue }
        if (depth == 1 && c == ":" && key == "\"model\"" && !skipping) {
            out = out ": " ENVIRON["model"]; skipping = 1; replaced = 1; continue
        }
        if (depth == 1 && (c == "," || c == "}")) {
            if (skipping && c == "}") out = out "\n"
            skipping = 0; key = ""
        }
        if (c == "{" || c == "[") depth++
        if (c == "}" || c == "]") depth--
        if (!skipping) out = out c
    }
    printf "%s", out
    exit replaced ? 0 : 1
}
