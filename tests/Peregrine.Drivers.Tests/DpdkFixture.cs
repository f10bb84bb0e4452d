// Links over DPDK in the test process. DPDK runs once in a process, so all its tests share it and run one after another.
using System.Diagnostics;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Dpdk;

namespace Peregrine.Drivers.Tests;

[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class DpdkTests
{
    public const string Name = "DPDK";
}

internal sealed class DpdkFixture : IDisposable
{
    private static int s_number;

    public DpdkFixture(string driver, string arguments = "", DpdkOptions? options = null, int chunks = 1024, int chunkSize = 2048)
    {
        SkipUnlessInstalled();
        Pool = PoolFixture.Pool(chunks, chunkSize);
        var name = $"{driver}{Interlocked.Increment(ref s_number)}";
        Link = DpdkLink.Open(name, (options ?? new DpdkOptions()) with { DeviceArguments = arguments.Split(',', StringSplitOptions.RemoveEmptyEntries) });
        Queue = Link.QueueCount == 1 ? Link.OpenQueue(0, Pool) : null!;
    }

    public DpdkLink Link { get; }

    public ILinkQueue Queue { get; }

    public FramePool Pool { get; }

    public static void SkipUnlessInstalled() => Assert.SkipUnless(DpdkLink.IsInstalled, "not run: DPDK 22.11 is not installed (apt-get install dpdk)");

    /// <summary>Receives until <paramref name="count"/> frames have come; fails when they do not.</summary>
    public List<byte[]> Receive(int count)
    {
        var got = new List<byte[]>();
        var burst = new Frame[32];
        for (var began = Stopwatch.GetTimestamp(); got.Count < count && Stopwatch.GetElapsedTime(began).TotalSeconds < 60;)
        {
            var n = Queue.Receive(burst.AsSpan(0, Math.Min(burst.Length, count - got.Count)));
            for (var i = 0; i < n; i++)
            {
                got.Add(PoolFixture.Bytes(Pool, burst[i]));
                Pool.Return(burst[i]);
            }
            Queue.Reclaim();
        }
        Assert.Equal(count, got.Count);
        return got;
    }

    public void Dispose()
    {
        Link.Dispose();
        Assert.Equal(Pool.Chunks.Count, Pool.Chunks.FreeCount);
    }
}
