import JSON

/// Makes nodes of a schema. Each subschema is compiled once, where it is first met; references are resolved at the end, when all
/// identifiers are known.
struct SchemaCompiler {
    struct Resource {
        var anchors: [String: Place] = [:]
        var dynamicAnchors: [String: Int] = [:]
        /// Names of dynamic anchors, with the place of each; the node is made when compiling comes there, or is asked for.
        var dynamicNames: [String: Place] = [:]
    }

    /// A subschema before it is compiled.
    struct Place {
        let node: JSONNode
        let resource: Int
        let base: SchemaURI
        let pointer: String
    }

    static let metaschema = "https://json-schema.org/draft/2020-12/schema"

    let limits: JSONSchemaLimits
    private(set) var nodes: [SchemaNode] = []
    var resources: [Resource] = []
    private var roots: [SchemaURI: Place] = [:]
    private var indices: [String: Int] = [:]
    /// Subschemas that are being compiled inside each other; references count, too.
    private var depth = 0
    private(set) var patternBytes = 0

    init(limits: JSONSchemaLimits) { self.limits = limits }

    mutating func compile(_ schema: JSONNode) throws(JSONSchemaError) {
        guard schema.raw.count <= limits.maxSchemaBytes else {
            throw JSONSchemaError(pointer: "", message: "is larger than \(limits.maxSchemaBytes) bytes")
        }
        try find(schema, resource: nil, base: SchemaURI("schema:/root"), pointer: "", depth: 0)
        guard let root = roots[SchemaURI("schema:/root")] ?? roots.values.first(where: { $0.pointer.isEmpty }) else {
            throw JSONSchemaError(pointer: "", message: "must be an object or a boolean")
        }
        _ = try node(at: root)
        // A dynamic reference may reach any anchor of any resource on its way.
        for resource in resources.indices {
            for (name, place) in resources[resource].dynamicNames { resources[resource].dynamicAnchors[name] = try node(at: place) }
        }
    }

    // MARK: Identifiers

    /// Keywords whose values are no schemas, so that what looks like an identifier in them is none.
    private static let values: Set<String> = ["enum", "const", "default", "examples", "required", "type", "dependentRequired"]

    /// Notes every resource and anchor below a place.
    private mutating func find(_ node: JSONNode, resource: Int?, base: SchemaURI, pointer: String, depth: Int) throws(JSONSchemaError) {
        guard depth <= limits.maxDepth else { throw JSONSchemaError(pointer: pointer, message: "is nested deeper than \(limits.maxDepth)") }
        var (resource, base) = (resource, base)
        let id = node["$id"]?.string
        if resource == nil || id != nil {
            if let id { base = base.resolving(id).resource }
            resources.append(Resource())
            resource = resources.count - 1
            let place = Place(node: node, resource: resources.count - 1, base: base, pointer: pointer)
            roots[base] = place
            if pointer.isEmpty { roots[SchemaURI("schema:/root")] = place }
        }
        guard let resource else { return }
        let place = Place(node: node, resource: resource, base: base, pointer: pointer)
        if let name = node["$anchor"]?.string { resources[resource].anchors[name] = place }
        if let name = node["$dynamicAnchor"]?.string {
            resources[resource].anchors[name] = place
            resources[resource].dynamicNames[name] = place
        }
        for (key, value) in node.members where !Self.values.contains(key) {
            try find(in: value, resource: resource, base: base, pointer: pointer + "/" + Self.escaped(key), depth: depth + 1)
        }
    }

    private mutating func find(in value: JSONNode, resource: Int, base: SchemaURI, pointer: String, depth: Int) throws(JSONSchemaError) {
        switch value.kind {
        case .object: try find(value, resource: resource, base: base, pointer: pointer, depth: depth)
        case .array:
            for (index, element) in value.elements.enumerated() {
                try find(in: element, resource: resource, base: base, pointer: "\(pointer)/\(index)", depth: depth + 1)
            }
        default: break
        }
    }

    // MARK: Nodes

    /// The node of a place, compiled now if it was not before.
    mutating func node(at place: Place) throws(JSONSchemaError) -> Int {
        let key = "\(place.resource) \(place.pointer)"
        if let index = indices[key] { return index }
        guard nodes.count < limits.maxNodes else {
            throw JSONSchemaError(pointer: place.pointer, message: "the schema has more than \(limits.maxNodes) subschemas")
        }
        depth += 1
        defer { depth -= 1 }
        guard depth <= limits.maxDepth else {
            throw JSONSchemaError(pointer: place.pointer, message: "is reached by references nested deeper than \(limits.maxDepth)")
        }
        let index = nodes.count
        indices[key] = index
        nodes.append(SchemaNode(resource: place.resource))
        nodes[index].keywords = try keywords(of: place)
        return index
    }

    /// A schema below a place. A resource of its own begins where it has an identifier.
    mutating func child(_ place: Place, _ node: JSONNode, _ path: String) throws(JSONSchemaError) -> Int {
        let pointer = place.pointer + path
        if let id = node["$id"]?.string, let root = roots[place.base.resolving(id).resource] { return try self.node(at: root) }
        return try self.node(at: Place(node: node, resource: place.resource, base: place.base, pointer: pointer))
    }

    // MARK: References

    mutating func reference(_ text: String, from place: Place) throws(JSONSchemaError) -> (index: Int, dynamicName: String?)? {
        let target = place.base.resolving(text)
        if "\(text)" == Self.metaschema || "\(text)" == Self.metaschema + "#" { return nil }
        guard let root = roots[target.resource] else {
            throw JSONSchemaError(pointer: place.pointer, message: "refers to \(text), which is not in this schema; nothing is fetched")
        }
        guard let fragment = target.fragment, !fragment.isEmpty else { return (try node(at: root), nil) }
        if fragment.hasPrefix("/") { return (try node(at: try follow(fragment, from: root, place)), nil) }
        guard let anchor = resources[root.resource].anchors[fragment] else {
            throw JSONSchemaError(pointer: place.pointer, message: "refers to the anchor \(fragment), which is not there")
        }
        let isDynamic = resources[root.resource].dynamicNames[fragment] != nil
        return (try node(at: anchor), isDynamic ? fragment : nil)
    }

    /// RFC 6901, from the root of a resource; on the way another resource may begin.
    private func follow(_ pointer: String, from root: Place, _ origin: Place) throws(JSONSchemaError) -> Place {
        var place = root
        for part in pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let key = String(part).replacing("~1", with: "/").replacing("~0", with: "~")
            let next = place.node.kind == .array ? Int(key).flatMap { place.node[$0] } : place.node[key]
            guard let next else {
                throw JSONSchemaError(pointer: origin.pointer, message: "refers to \(pointer), which is not there")
            }
            let path = place.pointer + "/" + Self.escaped(key)
            if let id = next["$id"]?.string, let root = roots[place.base.resolving(id).resource] {
                place = root
            } else {
                place = Place(node: next, resource: place.resource, base: place.base, pointer: path)
            }
        }
        return place
    }

    /// A compiled pattern may be a thousand times as large as its text.
    mutating func count(_ pattern: Pattern, _ pointer: String) throws(JSONSchemaError) {
        patternBytes += pattern.compiledBytes
        guard patternBytes <= limits.maxPatternBytes else {
            throw JSONSchemaError(pointer: pointer, message: "the schema's patterns are larger than \(limits.maxPatternBytes) bytes")
        }
    }

    static func escaped(_ key: String) -> String { key.replacing("~", with: "~0").replacing("/", with: "~1") }
}
