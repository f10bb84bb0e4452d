// Look-ups by tuple as the input path makes them: hash, search, and the comparison with a record in an array of native memory.
using System.Runtime.InteropServices;
using Peregrine.Core.Demux;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Bench;

internal static unsafe class DemuxBench
{
    private const int Operations = 1 << 20, Burst = 32;

    public static void Run(int entries)
    {
        foreach (var v6 in new[] { false, true }) Run(entries, v6);
    }

    private static void Run(int entries, bool v6)
    {
        using var region = HugePages.Allocate(DemuxTable.BytesFor(entries));
        using var recordRegion = HugePages.Allocate((nuint)entries * (nuint)sizeof(Record) + 128);
        var table = new DemuxTable(region, entries, StackSecrets.FromSeed(1).DemuxKey);
        var keys = new Keys { Records = (Record*)recordRegion.Take((nuint)entries * (nuint)sizeof(Record)) };
        var random = new StackRandom(1);
        var local = v6 ? IpAddress.Parse("2001:db8::1") : IpAddress.Parse("10.0.0.1");
        for (uint i = 0; i < entries; i++)
        {
            var remote = v6 ? IpAddress.FromIPv6(0x2001_0DB8_0001_0000, i >> 4) : IpAddress.FromIPv4(0x0B00_0000 + (i >> 4));
            keys.Records[i] = new Record { Local = local, LocalPort = 443, Remote = remote, RemotePort = (ushort)(1024 + (i & 15)) };
            ref var record = ref keys.Records[i];
            table.TryAdd(table.Hash(local, 443, remote, record.RemotePort), DemuxKind.Tcb, i);
        }
        Console.WriteLine($"{(v6 ? "IPv6" : "IPv4")}: {DemuxTable.BytesFor(entries) / (double)entries:F1} B an entry, longest probe {table.ProbeLengthMax}, "
            + $"records of {sizeof(Record)} B");
        // What comes from the wire: tuples in sequential memory, of connections at random.
        var wire = new Record[Operations];
        for (var i = 0; i < Operations; i++) wire[i] = keys.Records[random.Next((uint)entries)];
        var missing = new Record[Operations];
        for (var i = 0; i < Operations; i++) missing[i] = wire[i] with { LocalPort = 444 };

        long found = 0;
        ulong sum = 0;
        Measure.Print("hash alone", Operations, () =>
        {
            foreach (ref var r in wire.AsSpan()) sum += table.Hash(r.Local, r.LocalPort, r.Remote, r.RemotePort);
        });
        Measure.Print("look-up, one after another", Operations, () =>
        {
            foreach (ref var r in wire.AsSpan()) found += Find(table, ref keys, r);
        });
        Measure.Print("look-up, each waiting for the one before", Operations, () =>
        {
            long last = 1;
            foreach (ref var r in wire.AsSpan())
            {
                // The port depends on the last result without changing.
                last = Find(table, ref keys, r with { LocalPort = (ushort)(442 + last) });
                found += last;
            }
        });
        Measure.Print("look-up, burst of 32: slots and records prefetched", Operations, () => found += Staged(table, ref keys, wire));
        Measure.Print("look-up of what is not there, one after another", Operations, () =>
        {
            foreach (ref var r in missing.AsSpan()) found += Find(table, ref keys, r);
        });
        Measure.Print("remove and add again, at random", Operations, () =>
        {
            for (var i = 0; i < Operations; i++)
            {
                var index = (uint)((i * 2_654_435_761L) % entries);
                ref var r = ref keys.Records[index];
                var hash = table.Hash(r.Local, r.LocalPort, r.Remote, r.RemotePort);
                if (!table.Remove(hash, DemuxKind.Tcb, index) || !table.TryAdd(hash, DemuxKind.Tcb, index)) throw new InvalidOperationException("lost");
            }
        });
        GC.KeepAlive((found, sum));
    }

    private static int Find(DemuxTable table, ref Keys keys, in Record r)
    {
        var hash = table.Hash(r.Local, r.LocalPort, r.Remote, r.RemotePort);
        return table.TryFind(hash, r.Local, r.LocalPort, r.Remote, r.RemotePort, ref keys, out _, out _) ? 1 : 0;
    }

    private static long Staged(DemuxTable table, ref Keys keys, Record[] wire)
    {
        Span<ulong> hashes = stackalloc ulong[Burst];
        var prefetcher = default(Prefetcher);
        long found = 0;
        for (var start = 0; start + Burst <= wire.Length; start += Burst)
        {
            for (var i = 0; i < Burst; i++)
            {
                ref var r = ref wire[start + i];
                hashes[i] = table.Hash(r.Local, r.LocalPort, r.Remote, r.RemotePort);
                table.Prefetch(hashes[i]);
            }
            for (var i = 0; i < Burst; i++)
            {
                if (table.TryFindCandidate(hashes[i], out _, out var index)) prefetcher.Touch(keys.Records + index);
            }
            for (var i = 0; i < Burst; i++)
            {
                ref var r = ref wire[start + i];
                if (table.TryFind(hashes[i], r.Local, r.LocalPort, r.Remote, r.RemotePort, ref keys, out _, out _)) found++;
            }
        }
        return found;
    }

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
