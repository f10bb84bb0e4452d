// The suite in motion, with beds that fail: each failure is a row, ends nothing else, and leaves no bed behind.
using Peregrine.Bench.Lab;
using Peregrine.Bench.Load;
using Peregrine.Bench.Results;

namespace Peregrine.Bench.Tests;

public sealed class SuiteTests
{
    private readonly List<BenchResult> _results = [];
    private readonly List<SuiteStep> _steps = [];
    private readonly List<string> _said = [];
    private int _made, _ended;

    private static BenchWork Work(int connections) => new() { Kind = WorkKind.PingPong, Connections = connections, Seconds = 1, WarmUpSeconds = 0 };

    private SuitePart Part(Func<BenchWork, BenchRun> run, int works, Exception? atEnd = null, int pairs = 1) => new("test", "", () =>
    {
        _made++;
        return new TestBed(run, () =>
        {
            _ended++;
            if (atEnd != null) throw atEnd;
        });
    }, pairs, [.. Enumerable.Range(1, works).Select(Work)]);

    private SuiteRun Run(double budget, params SuitePart[] parts) => new(parts, budget, 0)
    {
        OnWork = _steps.Add,
        OnRun = _said.Add,
        OnResult = result =>
        {
            _results.Add(result);
            return Task.CompletedTask;
        },
    };

    private static BenchRun Good() => new(new LoadResult { Seconds = 1, Operations = 100 }, new ServerUsage());

    [Fact]
    public async Task AFailureIsARowAndTheNextWorkHasABedOfItsOwn()
    {
        var failures = await Run(1e6, Part(static work => work.Connections == 2 ? throw new IOException("no answer") : Good(), 3)).RunAsync(TestContext.Current.CancellationToken);
        Assert.Equal(["pingpong, 64 B, c=2, blocking; test: no answer"], failures);
        Assert.Equal([null, "no answer", null], _results.Select(static result => result.Failure));
        Assert.Equal((2, 2), (_made, _ended));
    }

    [Fact]
    public async Task ABedThatCannotBeMadeFailsItsWorksAndNoOthers()
    {
        var broken = new SuitePart("broken", "k", static () => throw new UnauthorizedAccessException("needs root"), 1, [Work(1), Work(2), Work(3), Work(4)]);
        var failures = await Run(1e6, broken, Part(static _ => Good(), 1)).RunAsync(TestContext.Current.CancellationToken);
        Assert.Equal(4, failures.Count);
        Assert.Equal("pingpong, 64 B, c=1, blocking; broken, beside k: needs root", failures[0]);
        // Whoever fails twice in turn would fail again, each time after its time-out.
        Assert.Equal(["needs root", "needs root", "not tried, after 2 failures in turn: needs root", "not tried, after 2 failures in turn: needs root", null], _results.Select(static result => result.Failure));
        Assert.Equal(Enumerable.Range(1, 5), _steps.Select(static step => step.Number));
        Assert.All(_steps, static step => Assert.Equal(5, step.Count));
    }

    [Fact]
    public async Task ABedThatDoesNotEndWellIsToldOfAndTheRestGoesOn()
    {
        var failures = await Run(1e6, Part(static _ => Good(), 1, new IOException("namespace in use")), Part(static _ => Good(), 1)).RunAsync(TestContext.Current.CancellationToken);
        Assert.Empty(failures);
        Assert.Equal(2, _results.Count);
        Assert.Contains("something may be left of test: namespace in use", _said);
    }

    [Fact]
    public async Task WhoIsInterruptedHasNoFailureAndTheBedIsEnded()
    {
        using var cancel = new CancellationTokenSource();
        var run = Run(1e6, Part(_ =>
        {
            cancel.Cancel();
            throw new IOException("the client ended");
        }, 3), Part(static _ => Good(), 1));
        await Assert.ThrowsAsync<OperationCanceledException>(() => run.RunAsync(cancel.Token));
        Assert.Empty(_results);
        Assert.Equal((1, 1), (_made, _ended));
    }

    [Fact]
    public async Task WhereTimeRunsOutTheRestHasFewerRuns()
    {
        await Run(1e6, Part(static _ => Good(), 1, pairs: 8)).RunAsync(TestContext.Current.CancellationToken);
        await Run(10, Part(static _ => Good(), 1, pairs: 8)).RunAsync(TestContext.Current.CancellationToken);
        Assert.Equal([8, 5], _steps.Select(static step => step.Pairs));
        Assert.Equal([8, 5], _results.Select(static result => result.Sides[0].Runs.Count));
    }

    private sealed class TestBed(Func<BenchWork, BenchRun> run, Action end) : Bed
    {
        internal override string Link => "test";

        internal override IReadOnlyList<(string Name, string Placement)> Sides { get; } = [("ours", "here")];

        internal override bool NeedsWarmUp => false;

        internal override Task<BenchRun> RunAsync(int side, BenchWork work, CancellationToken cancel) => Task.FromResult(run(work));

        public override ValueTask DisposeAsync()
        {
            end();
            return ValueTask.CompletedTask;
        }
    }
}
