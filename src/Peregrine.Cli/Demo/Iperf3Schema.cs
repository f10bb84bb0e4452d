// Which fields a JSON text has and of what kind, without their values: two of iperf3's are alike when these are.
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Peregrine.Cli.Demo;

internal static class Iperf3Schema
{
    /// <summary>What one has and the other has not, in words; empty when they are alike.</summary>
    internal static string Difference(JsonNode ours, JsonNode like)
    {
        SortedSet<string> here = new(StringComparer.Ordinal), there = new(StringComparer.Ordinal);
        Collect(ours, "", here);
        Collect(like, "", there);
        // A test that ended before a server's first interval has none, on whichever side the machine was slower: no difference of kind. A server's
        // output within the client's has intervals of its own.
        foreach (var intervals in (ReadOnlySpan<string>)[".intervals[]", ".server_output_json.intervals[]"])
        {
            if (HasStreams(here, intervals) && HasStreams(there, intervals)) continue;
            foreach (var fields in (ReadOnlySpan<SortedSet<string>>)[here, there])
                fields.RemoveWhere(field => field == intervals + "{}" || field.StartsWith(intervals + ".", StringComparison.Ordinal));
        }
        var missing = there.Except(here).Select(static field => "without " + field);
        return string.Join(", ", missing.Concat(here.Except(there).Select(static field => "with " + field)).Take(4));
    }

    private static bool HasStreams(SortedSet<string> fields, string intervals) => fields.Any(field => field.StartsWith(intervals + ".streams[].", StringComparison.Ordinal));

    /// <summary>Reads a text in which names may stand twice, as iperf3's may; the last one counts.</summary>
    internal static JsonNode Parse(string text)
    {
        using var document = JsonDocument.Parse(text);
        return ToNode(document.RootElement)!;
    }

    private static JsonNode? ToNode(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => new JsonObject(element.EnumerateObject().GroupBy(static member => member.Name, static member => ToNode(member.Value))
            .Select(static group => KeyValuePair.Create(group.Key, group.Last()))),
        JsonValueKind.Array => new JsonArray(element.EnumerateArray().Select(ToNode).ToArray()),
        _ => JsonValue.Create(element.Clone()),
    };

    private static void Collect(JsonNode? node, string path, SortedSet<string> into)
    {
        switch (node)
        {
            case JsonObject members:
                into.Add(path + "{}");
                foreach (var (name, value) in members) Collect(value, path + "." + name, into);
                break;
            case JsonArray items:
                into.Add(path + "[]");
                foreach (var item in items) Collect(item, path + "[]", into);
                break;
            default:
                into.Add(path + ":" + (node?.GetValueKind() is JsonValueKind.True or JsonValueKind.False ? "bool" : node?.GetValueKind().ToString()));
                break;
        }
    }
}
