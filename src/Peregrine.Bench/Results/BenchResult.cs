// What a measurement came to, as it stands in a file: the work, the machine, both sides' runs in the order in which they were taken.
using System.Text.Json;
using System.Text.Json.Serialization;
using Peregrine.Bench.Load;

namespace Peregrine.Bench.Results;

/// <summary>What one run cost on the server's side.</summary>
internal sealed record ServerUsage
{
    /// <summary>Processor seconds of the server's process and its children.</summary>
    public double CpuSeconds { get; init; }

    /// <summary>Busy seconds of all processors: both ends and the kernel between them. In ticks of 10 ms.</summary>
    public double MachineSeconds { get; init; }

    /// <summary>Managed bytes allocated; -1 where the server has none.</summary>
    public long AllocatedBytes { get; init; } = -1;

    public int Collections { get; init; }

    /// <summary>Methods that the server's run time compiled; 0 where it has none.</summary>
    public long CompiledMethods { get; init; }

    public long FramesIn { get; init; }

    public long FramesOut { get; init; }

    /// <summary>System calls of the link, and sleeps, which are one each.</summary>
    public long SystemCalls { get; init; }

    /// <summary>What has happened between an earlier reading and this one.</summary>
    internal ServerUsage Since(ServerUsage before) => new()
    {
        CpuSeconds = CpuSeconds - before.CpuSeconds,
        MachineSeconds = MachineSeconds - before.MachineSeconds,
        AllocatedBytes = AllocatedBytes < 0 ? -1 : AllocatedBytes - before.AllocatedBytes,
        Collections = Collections - before.Collections,
        CompiledMethods = CompiledMethods - before.CompiledMethods,
        FramesIn = FramesIn - before.FramesIn,
        FramesOut = FramesOut - before.FramesOut,
        SystemCalls = SystemCalls - before.SystemCalls,
    };
}

/// <summary>One run.</summary>
internal sealed record BenchRun(LoadResult Load, ServerUsage Server)
{
    [JsonIgnore]
    public double PerSecond => Load.Operations / Load.Seconds;

    [JsonIgnore]
    public double GigabitPerSecond => Load.Bytes * 8 / Load.Seconds / 1e9;
}

/// <summary>One side of a measurement.</summary>
internal sealed record BenchSide(string Name, string Placement, IReadOnlyList<BenchRun> Runs)
{
    /// <summary>How its program uses its sockets: call-backs with spans, await, epoll.</summary>
    public string Api { get; init; } = "";
}

/// <summary>A whole measurement: one work on one side, or on two in turns.</summary>
internal sealed record BenchResult
{
    public string Format { get; init; } = "peregrine-bench 1";

    public required string Title { get; init; }

    public required string Link { get; init; }

    public required BenchWork Work { get; init; }

    public required MachineDescription Machine { get; init; }

    public DateTimeOffset At { get; init; }

    public required IReadOnlyList<BenchSide> Sides { get; init; }

    /// <summary>Who is on the other side; null for nobody.</summary>
    public string? Peer { get; init; }

    /// <summary>A name for its file that no other work, link and peer has.</summary>
    [JsonIgnore]
    public string FileName => string.Concat($"{Link} {Title}{(Peer == null ? "" : " beside " + Peer)}".Select(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '=' or '%' ? c : '-'))
        .Replace("--", "-", StringComparison.Ordinal) + ".json";

    /// <summary>Why there are no runs; null where there are.</summary>
    public string? Failure { get; init; }

    /// <summary>A work that did not come about, which takes its place among the others.</summary>
    internal static BenchResult Failed(BenchWork work, string link, string peer, string failure) => new()
    {
        Title = work.Title,
        Link = link,
        Peer = peer.Length > 0 ? peer : null,
        Work = work,
        Machine = MachineDescription.Read(),
        At = DateTimeOffset.UtcNow,
        Sides = [],
        Failure = failure,
    };

    private static readonly JsonSerializerOptions s_json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    internal string ToJson() => JsonSerializer.Serialize(this, s_json);

    /// <exception cref="InvalidDataException">The text is no result of a benchmark.</exception>
    internal static BenchResult Parse(string json, string name)
    {
        try
        {
            var result = JsonSerializer.Deserialize<BenchResult>(json, s_json);
            if (result is { Format: "peregrine-bench 1", Failure: not null, Sides.Count: 0 }) return result;
            if (result is { Format: "peregrine-bench 1", Failure: null, Sides.Count: > 0 } && result.Sides.All(static side => side.Runs.Count > 0)) return result;
        }
        catch (JsonException)
        {
            // Said below, with the name.
        }
        throw new InvalidDataException($"{name} is no result of 'peregrine bench': it must be JSON with \"format\": \"peregrine-bench 1\" and runs.");
    }
}
