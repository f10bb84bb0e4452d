using Peregrine.Core.Demux;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Demux;

public sealed class DemuxTableTests
{
    private static readonly IpAddress Server = IpAddress.Parse("10.0.0.1");

    [Fact]
    public void FindsWhatWasAddedAndNothingElse()
    {
        using var region = MemoryRegion.Allocate(DemuxTable.BytesFor(100));
        var table = new DemuxTable(region, 100, 5);
        var keys = new TupleKeys { Clients = [IpAddress.Parse("10.0.0.2"), IpAddress.Parse("2001:db8::2")] };
        for (uint i = 0; i < 2; i++) Assert.True(table.TryAdd(table.Hash(Server, 80, keys.Clients[i], 1000), DemuxKind.SynReceived, i));

        Assert.True(Find(table, ref keys, keys.Clients[1], 1000, out var kind, out var index));
        Assert.Equal((DemuxKind.SynReceived, 1u), (kind, index));
        Assert.False(Find(table, ref keys, keys.Clients[1], 1001, out _, out index));
        Assert.Equal(uint.MaxValue, index);
        Assert.False(Find(table, ref keys, Server, 1000, out _, out _));
    }

    [Fact]
    public void EqualHashesAreToldApartByTheirTuples()
    {
        using var region = MemoryRegion.Allocate(DemuxTable.BytesFor(100));
        var table = new DemuxTable(region, 100, 5);
        for (uint i = 0; i < 5; i++) Assert.True(table.TryAdd(77, DemuxKind.Tcb, i));
        var keys = new IndexKeys { Wanted = 3 };
        Assert.True(table.TryFind(77, Server, 1, Server, 2, ref keys, out _, out var index));
        Assert.Equal(3u, index);
        Assert.True(table.Remove(77, DemuxKind.Tcb, 1));
        Assert.True(table.TryFind(77, Server, 1, Server, 2, ref keys, out _, out _));
        Assert.True(table.Remove(77, DemuxKind.Tcb, 3));
        Assert.False(table.TryFind(77, Server, 1, Server, 2, ref keys, out _, out _));
        Assert.False(table.Remove(77, DemuxKind.Tcb, 3));
        Assert.Equal(3, table.Count);
    }

    [Fact]
    public void EntryCanBeLetElsewhere()
    {
        using var region = MemoryRegion.Allocate(DemuxTable.BytesFor(4));
        var table = new DemuxTable(region, 4, 5);
        Assert.True(table.TryAdd(9, DemuxKind.Tcb, 1));
        Assert.False(table.Replace(9, DemuxKind.TimeWait, 1, DemuxKind.Tcb, 2));
        Assert.True(table.Replace(9, DemuxKind.Tcb, 1, DemuxKind.TimeWait, 40));
        Assert.True(table.TryFindCandidate(9, out var kind, out var index));
        Assert.Equal((DemuxKind.TimeWait, 40u), (kind, index));
        Assert.False(table.TryFindCandidate(10, out _, out _));
    }

    [Fact]
    public void FullTableRefusesAndCounts()
    {
        using var region = MemoryRegion.Allocate(DemuxTable.BytesFor(3));
        var table = new DemuxTable(region, 3, 5);
        for (uint i = 0; i < 3; i++) Assert.True(table.TryAdd(i, DemuxKind.Tcb, i));
        Assert.False(table.TryAdd(3, DemuxKind.Tcb, 3));
        Assert.Equal(1, table.Refused);
        Assert.True(table.Remove(1, DemuxKind.Tcb, 1));
        Assert.True(table.TryAdd(3, DemuxKind.Tcb, 3));
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(3, 4)]
    [InlineData(4, 8)]
    [InlineData(1_000_000, 2_097_152)]
    [InlineData(1_572_864, 2_097_152)]
    [InlineData(10_000_000, 16_777_216)]
    public void LoadIsAtMostThreeQuarters(int capacity, int slots)
    {
        Assert.Equal((nuint)slots * 8 + 128, DemuxTable.BytesFor(capacity));
        Assert.True(capacity * 4L <= slots * 3L);
    }

    /// <summary>A million adds and removes at random against a model; hashes from a small set, so that clusters are long and wrap.</summary>
    [Theory]
    [InlineData(48, 64, 1UL)]
    [InlineData(3_000, 100_000, 2UL)]
    public void AMillionChangesAgreeWithAModel(int capacity, int hashCount, ulong seed)
    {
        using var region = MemoryRegion.Allocate(DemuxTable.BytesFor(capacity));
        var table = new DemuxTable(region, capacity, 5);
        var random = new StackRandom(seed);
        var model = new Dictionary<uint, ulong>();
        var live = new List<uint>();
        uint next = 0;
        for (var step = 0; step < 1_000_000; step++)
        {
            if (random.Next(2) == 0 || live.Count == 0)
            {
                var hash = random.Next((uint)hashCount) * 0x1_0000_0001UL;
                Assert.Equal(model.Count < capacity, table.TryAdd(hash, (DemuxKind)(next % 3), next));
                if (model.Count < capacity)
                {
                    model.Add(next, hash);
                    live.Add(next);
                }
                next++;
            }
            else
            {
                var at = (int)random.Next((uint)live.Count);
                var index = live[at];
                Assert.True(table.Remove(model[index], (DemuxKind)(index % 3), index));
                model.Remove(index);
                (live[at], live[^1]) = (live[^1], live[at]);
                live.RemoveAt(live.Count - 1);
            }
            if (step % 10_000 == 0) ExpectSame(table, model);
        }
        ExpectSame(table, model);
    }

    [Fact]
    public void ProbesStayShortAtThreeQuartersLoad()
    {
        const int Capacity = 196_608;
        using var region = MemoryRegion.Allocate(DemuxTable.BytesFor(Capacity));
        var table = new DemuxTable(region, Capacity, 5);
        for (uint i = 0; i < Capacity; i++) Assert.True(table.TryAdd(HashOf(table, i), DemuxKind.Tcb, i));
        long probes = 0;
        for (uint i = 0; i < 100_000; i++)
        {
            var length = table.ProbeLengthOf(HashOf(table, Capacity + i));
            Assert.True(length <= table.ProbeLengthMax + 2);
            probes += length;
        }
        Assert.InRange(table.ProbeLengthMax, 1, 64);
        Assert.InRange(probes, 100_000, 600_000);
        TestContext.Current.TestOutputHelper?.WriteLine($"longest {table.ProbeLengthMax}, mean of a miss {probes / 100_000.0:F2} slots");
    }

    private static ulong HashOf(DemuxTable table, uint i) => table.Hash(Server, 80, IpAddress.FromIPv4(0x0B00_0000 + (i >> 4)), (ushort)(1024 + (i & 15)));

    private static void ExpectSame(DemuxTable table, Dictionary<uint, ulong> model)
    {
        Assert.Equal(model.Count, table.Count);
        foreach (var (index, hash) in model)
        {
            var keys = new IndexKeys { Wanted = index };
            Assert.True(table.TryFind(hash, Server, 1, Server, 2, ref keys, out var kind, out var found));
            Assert.Equal((index, (DemuxKind)(index % 3)), (found, kind));
        }
        for (ulong hash = 0; hash < 50; hash++)
            Assert.Equal(model.ContainsValue(hash * 0x1_0000_0001UL), table.TryFindCandidate(hash * 0x1_0000_0001UL, out _, out _));
    }

    private static bool Find(DemuxTable table, ref TupleKeys keys, in IpAddress client, ushort port, out DemuxKind kind, out uint index) =>
        table.TryFind(table.Hash(Server, 80, client, port), Server, 80, client, port, ref keys, out kind, out index);

    private struct TupleKeys : IDemuxKeys
    {
        public IpAddress[] Clients;

        public readonly bool Matches(DemuxKind kind, uint index, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) =>
            local == Server && localPort == 80 && remote == Clients[index] && remotePort == 1000;
    }

    private struct IndexKeys : IDemuxKeys
    {
        public uint Wanted;

        public readonly bool Matches(DemuxKind kind, uint index, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) => index == Wanted;
    }
}
