/// `${secret.NAME}`, the one thing that a config can name outside itself. There is no way to the gateway's environment.
public enum SecretReference {
    /// The name, where the whole text is a reference; nil where it holds none.
    public static func whole(_ text: String) throws(TemplateError) -> String? {
        guard text.contains("${") else { return nil }
        let template = try TextTemplate(text)
        guard template.parts.count == 1, case .secret(let name) = template.parts[0] else {
            throw TemplateError("must be one ${secret.NAME} and nothing around it, or hold none")
        }
        return name
    }
}
