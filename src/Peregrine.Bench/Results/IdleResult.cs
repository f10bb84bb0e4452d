// What idle connections cost, as it stands in a file: the process's memory each time so many more were open.
using System.Text.Json;

namespace Peregrine.Bench.Results;

/// <summary>The memory of two stacks in one process that have so many connections between them.</summary>
/// <param name="Connections">Connections, of two ends each.</param>
/// <param name="ResidentBytes">Resident memory since before the first.</param>
/// <param name="ManagedBytes">Managed objects since before the first, a part of it.</param>
/// <param name="Seconds">How long the connections since the last point took to open.</param>
internal sealed record IdlePoint(int Connections, long ResidentBytes, long ManagedBytes, double Seconds);

internal sealed record IdleResult
{
    internal const string FormatName = "peregrine-idle 1";

    public string Format { get; init; } = FormatName;

    public required MachineDescription Machine { get; init; }

    public DateTimeOffset At { get; init; }

    /// <summary>What one end's stack reserves for its connections, blocks and frames, touched or not.</summary>
    public long ReservedBytes { get; init; }

    public required IReadOnlyList<IdlePoint> Points { get; init; }

    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    /// <summary>Bytes per connection and end: of all, and of one more, which is the slope between the first point and the last.</summary>
    internal IEnumerable<(string What, double Bytes)> PerEnd()
    {
        var (first, last) = (Points[0], Points[^1]);
        yield return ("resident, all in all", last.ResidentBytes / (2.0 * last.Connections));
        yield return ("of these managed objects: connection and handler", last.ManagedBytes / (2.0 * last.Connections));
        if (Points.Count > 1) yield return ("resident, for one more", (last.ResidentBytes - first.ResidentBytes) / (2.0 * (last.Connections - first.Connections)));
        yield return ("reserved by the stack for connections, blocks and frames, touched or not", ReservedBytes / (double)last.Connections);
    }

    private static bool Grows(IReadOnlyList<IdlePoint> points) => points.Zip(points.Skip(1)).All(static pair => pair.First.Connections < pair.Second.Connections);

    /// <summary>Connections a second in the step that ended with this point.</summary>
    internal double PerSecond(int point) => (Points[point].Connections - (point == 0 ? 0 : Points[point - 1].Connections)) / Points[point].Seconds;

    internal string ToJson() => JsonSerializer.Serialize(this, s_json);

    /// <exception cref="InvalidDataException">The text is no result of idle connections.</exception>
    internal static IdleResult Parse(string json, string name)
    {
        try
        {
            var result = JsonSerializer.Deserialize<IdleResult>(json, s_json);
            if (result is { Format: FormatName, Points.Count: > 0 } && result.Points[0].Connections > 0 && Grows(result.Points)) return result;
        }
        catch (JsonException)
        {
            // Said below, with the name.
        }
        throw new InvalidDataException($"{name} is no result of 'peregrine bench idle': it must be JSON with \"format\": \"{FormatName}\" and points.");
    }
}
