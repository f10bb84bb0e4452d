// Look-ups by tuple as the input path makes them: hash, search, and the comparison with a record in an array of native memory. What comes from
// the wire lies in sequential memory, of connections at random.
using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using Peregrine.Core.Bench;
using Peregrine.Core;
using Peregrine.Core.Demux;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Stages.Bench;

public unsafe class TableBenchmarks : IDisposable
{
    private const int Steps = 4_096, Burst = 32;

    private readonly ulong[] _hashes = new ulong[Burst];
    private MemoryRegion? _slots, _recordMemory;
    private DemuxTable _table = null!;
    private Keys _keys;
    private Record[] _wire = [];
    private int _at;

    [Params(1_000, 1_000_000)]
    public int Entries { get; set; }

    [Params(4, 6)]
    public int Version { get; set; }

    [GlobalSetup]
    public void Fill()
    {
        _slots = HugePages.Allocate(DemuxTable.BytesFor(Entries));
        _recordMemory = HugePages.Allocate((nuint)Entries * (nuint)sizeof(Record) + 128);
        _table = new DemuxTable(_slots, Entries, StackSecrets.FromSeed(1).DemuxKey);
        _keys = new Keys { Records = (Record*)_recordMemory.Take((nuint)Entries * (nuint)sizeof(Record)) };
        var local = IpAddress.Parse(Version == 6 ? "2001:db8::1" : "10.0.0.1");
        for (uint i = 0; i < Entries; i++)
        {
            var remote = Version == 6 ? IpAddress.FromIPv6(0x2001_0DB8_0001_0000, i >> 4) : IpAddress.FromIPv4(0x0B00_0000 + (i >> 4));
            _keys.Records[i] = new Record { Local = local, LocalPort = 443, Remote = remote, RemotePort = (ushort)(1_024 + (i & 15)) };
            if (!_table.TryAdd(Hash(_keys.Records[i]), DemuxKind.Tcb, i)) throw new InvalidOperationException("the table is full");
        }
        var random = new StackRandom(1);
        _wire = new Record[1 << 20];
        for (var i = 0; i < _wire.Length; i++) _wire[i] = _keys.Records[random.Next((uint)Entries)];
    }

    [Benchmark(OperationsPerInvoke = Steps)]
    public long OneAfterAnother()
    {
        long found = 0;
        foreach (ref readonly var r in Next()) found += Find(r);
        return found;
    }

    /// <summary>
    /// Each tuple is computed from the index that was found last, whose highest bit is 0: nothing is looked up ahead. Whether something was found would not
    /// do instead: that is a branch, and a processor that foresees it goes on without waiting.
    /// </summary>
    [Benchmark(OperationsPerInvoke = Steps)]
    public long EachWaitingForTheOneBefore()
    {
        uint last = 0;
        foreach (ref readonly var r in Next())
        {
            var port = (ushort)(443 + (last >> 31));
            _table.TryFind(_table.Hash(r.Local, port, r.Remote, r.RemotePort), r.Local, port, r.Remote, r.RemotePort, ref _keys, out _, out last);
        }
        return last;
    }

    /// <summary>As the stack does it: bursts of 32, slots and then records prefetched.</summary>
    [Benchmark(OperationsPerInvoke = Steps, Baseline = true)]
    public long InBurstsWithPrefetching()
    {
        var prefetcher = default(Prefetcher);
        var wire = Next();
        long found = 0;
        for (var start = 0; start < Steps; start += Burst)
        {
            var burst = wire.Slice(start, Burst);
            for (var i = 0; i < Burst; i++) _table.Prefetch(_hashes[i] = Hash(burst[i]));
            for (var i = 0; i < Burst; i++)
            {
                if (_table.TryFindCandidate(_hashes[i], out _, out var index)) prefetcher.Touch(_keys.Records + index);
            }
            for (var i = 0; i < Burst; i++)
            {
                ref readonly var r = ref burst[i];
                if (_table.TryFind(_hashes[i], r.Local, r.LocalPort, r.Remote, r.RemotePort, ref _keys, out _, out _)) found++;
            }
        }
        return found;
    }

    [Benchmark(OperationsPerInvoke = Steps)]
    public long WhatIsNotThere()
    {
        long found = 0;
        foreach (ref readonly var r in Next()) found += Find(r with { LocalPort = 444 });
        return found;
    }

    [Benchmark(OperationsPerInvoke = Steps)]
    public void RemoveAndAddAgain()
    {
        for (var i = 0; i < Steps; i++)
        {
            var index = (uint)(((uint)_at + i) * 2_654_435_761L % Entries);
            var hash = Hash(_keys.Records[index]);
            if (!_table.Remove(hash, DemuxKind.Tcb, index) || !_table.TryAdd(hash, DemuxKind.Tcb, index)) throw new InvalidOperationException("lost");
        }
        _at = (_at + Steps) & (_wire.Length - 1);
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _slots?.Dispose();
        _recordMemory?.Dispose();
    }

    private ReadOnlySpan<Record> Next()
    {
        _at = (_at + Steps) & (_wire.Length - 1);
        return _wire.AsSpan(_at, Steps);
    }

    private ulong Hash(in Record r) => _table.Hash(r.Local, r.LocalPort, r.Remote, r.RemotePort);

    private int Find(in Record r) => _table.TryFind(Hash(r), r.Local, r.LocalPort, r.Remote, r.RemotePort, ref _keys, out _, out _) ? 1 : 0;

    [StructLayout(LayoutKind.Sequential, Size = 192)]
    private struct Record
    {
        public IpAddress Local, Remote;
        public ushort LocalPort, RemotePort;
    }

    private struct Keys : IDemuxKeys
    {
        public Record* Records;

        public readonly bool Matches(DemuxKind kind, uint index, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort)
        {
            var r = Records + index;
            return r->RemotePort == remotePort && r->LocalPort == localPort && r->Remote == remote && r->Local == local;
        }
    }
}
