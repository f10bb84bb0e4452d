// Mutated conversations by the thousand. PEREGRINE_FUZZ_SEED replays one; PEREGRINE_LONG=1 runs many more, PEREGRINE_EMULATED=1 fewer.
using System.Globalization;
using Peregrine.Core.Tcp;

namespace Peregrine.Fuzz.Tests;

public sealed class ConversationTests
{
    private static readonly string? Seed = Environment.GetEnvironmentVariable("PEREGRINE_FUZZ_SEED");

    private static int SeedCount =>
        Environment.GetEnvironmentVariable("PEREGRINE_EMULATED") == "1" ? 300 : Environment.GetEnvironmentVariable("PEREGRINE_LONG") == "1" ? 200_000 : 10_000;

    [Fact]
    public void NoConversationThrowsLeaksOrBreaksAnInvariant()
    {
        if (Seed is not null)
        {
            using var one = new Conversation(ulong.Parse(Seed, CultureInfo.InvariantCulture));
            one.Run();
            Assert.True(one.Digest != 0);
            return;
        }
        var failures = new SortedDictionary<ulong, string>();
        Parallel.For(1, SeedCount + 1, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, n =>
        {
            var failure = Fails((ulong)n, out _);
            if (failure is null) return;
            lock (failures) failures.Add((ulong)n, failure);
        });
        Assert.True(failures.Count == 0, failures.Count == 0 ? "" : Tell(failures));
    }

    [Fact]
    public void ASeedMakesTheSameConversationEveryTime()
    {
        for (ulong seed = 1; seed <= 50; seed++)
        {
            Assert.Null(Fails(seed, out var first));
            Assert.Null(Fails(seed, out var second));
            Assert.Equal(first, second);
        }
    }

    // A fuzzer that never gets anywhere finds nothing.
    [Fact]
    public void TheConversationsReachEveryCounter()
    {
        var names = typeof(TcpCounters).GetFields().Select(f => f.Name).ToArray();
        var sums = new long[names.Length];
        for (ulong seed = 1; seed <= (ulong)Math.Min(SeedCount, 3_000); seed++)
        {
            using var conversation = new Conversation(seed);
            conversation.Run();
            conversation.AddCounters(sums);
        }
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(", ", names.Zip(sums, (n, s) => $"{n} {s}")));
        // Nothing here sends to groups or signs, and the hosts' bursts are too short to empty their pools of frames.
        string[] exceptions = SeedCount < 1_000 ? names : [nameof(TcpCounters.DroppedNotUnicast), nameof(TcpCounters.OutputNoFrame), nameof(TcpCounters.DroppedAuthentication)];
        Assert.Empty(names.Where((n, i) => sums[i] == 0 && !exceptions.Contains(n)));
    }

    private static string? Fails(ulong seed, out ulong digest)
    {
        digest = 0;
        try
        {
            using var conversation = new Conversation(seed);
            conversation.Run();
            digest = conversation.Digest;
            return null;
        }
        catch (Exception e)
        {
            return e.ToString();
        }
    }

    private static string Tell(SortedDictionary<ulong, string> failures)
    {
        var (seed, what) = failures.First();
        return $"{failures.Count} seeds failed: {string.Join(", ", failures.Keys.Take(20))}. Replay the first by PEREGRINE_FUZZ_SEED={seed}. It said: {what}";
    }
}
