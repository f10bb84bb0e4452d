// Two builds of the tool in turns: each run is a process of its own of one or the other, told the same work. So whatever differs between two
// revisions counts: stack, server, client and run time's decisions.
using System.Globalization;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Lab;

internal sealed class ToolBed(string link, string otherTool) : Bed
{
    private readonly string _folder = Directory.CreateTempSubdirectory("peregrine-guard-").FullName;

    internal override string Link => link;

    internal override IReadOnlyList<(string Name, string Placement)> Sides { get; } = [("this build", "a process a run"), ("other build", Path.GetFullPath(otherTool))];

    // Each run is a process of its own, and warms up itself.
    internal override bool NeedsWarmUp => false;

    internal override async Task<BenchRun> RunAsync(int side, BenchWork work, CancellationToken cancel)
    {
        foreach (var old in Directory.GetFiles(_folder)) File.Delete(old);
        IEnumerable<string> tool = side == 0 ? Helper.Tool : [Helper.Tool.First(), otherTool];
        var process = Helper.Start(Sides[side].Name, null, -1, [.. tool, .. Arguments(link, work), "--output", _folder]);
        await using (process.ConfigureAwait(false)) await process.FinishAsync(cancel).ConfigureAwait(false);
        var file = Directory.GetFiles(_folder, "*.json").SingleOrDefault() ?? throw new IOException($"{Sides[side].Name} ({string.Join(' ', tool)}) measured nothing: does it have 'bench'?");
        return BenchResult.Parse(await File.ReadAllTextAsync(file, cancel).ConfigureAwait(false), file).Sides[0].Runs[0];
    }

    public override ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    /// <summary>The command line that asks for one run of a work.</summary>
    internal static IEnumerable<string> Arguments(string link, BenchWork work)
    {
        static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);
        List<string> all =
        [
            "bench", work.Kind.ToString().ToLowerInvariant(), "--link", link, "--peer", "none", "--pairs", "1", "--connections", Text(work.Connections), "--pipeline", Text(work.Pipeline),
            "--bytes", Text(work.Bytes), "--rate", Text(work.Rate), "--loss", Text(work.LossPercent), "--spin", work.Spin ? "true" : "false", "--seconds", Text(work.Seconds), "--warm-up", Text(work.WarmUpSeconds),
            "--closer", work.Closer.ToString().ToLowerInvariant(),
        ];
        if (work.NewConnection) all.Add("--new-connection");
        if (work.Kestrel) all.Add("--kestrel");
        if (work.Http2) all.Add("--h2");
        if (work.Await) all.Add("--await");
        if (work.Json) all.Add("--json");
        if (work.Reverse) all.Add("--reverse");
        return all;
    }
}
