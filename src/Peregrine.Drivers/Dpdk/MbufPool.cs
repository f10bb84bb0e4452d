// A pool of DPDK's packet buffers. DPDK's drivers take from it and free into it by its native operations, which are called here through
// the exported table; no callback of ours is ever run inside a burst. What has been freed is found by asking the pool: so it is also the queue of completions.
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Dpdk;

internal sealed unsafe class MbufPool : IDisposable
{
    /// <summary>The pool is a ring with one thread at each end; or any number that frees.</summary>
    public const string OneProducer = "ring_sp_sc", ManyProducers = "ring_mp_sc";

    private readonly DpdkLibrary _dpdk;
    private readonly delegate* unmanaged[SuppressGCTransition]<byte*, Mbuf**, uint, int> _enqueue, _dequeue;
    private readonly delegate* unmanaged[SuppressGCTransition]<byte*, uint> _count;
    private readonly nint[] _all;
    private byte* _pool;

    private MbufPool(DpdkEal eal, byte* pool, int count)
    {
        (_dpdk, _all) = (eal.Library, new nint[count]);
        _pool = pool;
        // Rings in memory, without a system call: the calls may stay short for the collector.
        var operations = _dpdk.OperationsTable + eal.Build.OperationsOffset + (*(int*)(pool + DpdkAbi.PoolOperationsIndex) * DpdkAbi.OperationsSize);
        _enqueue = (delegate* unmanaged[SuppressGCTransition]<byte*, Mbuf**, uint, int>)*(nint*)(operations + DpdkAbi.OperationsEnqueue);
        _dequeue = (delegate* unmanaged[SuppressGCTransition]<byte*, Mbuf**, uint, int>)*(nint*)(operations + DpdkAbi.OperationsDequeue);
        _count = (delegate* unmanaged[SuppressGCTransition]<byte*, uint>)*(nint*)(operations + DpdkAbi.OperationsGetCount);
        var (name, known) = (ReadName(operations), ReadName(pool));
        if (!name.StartsWith("ring_", StringComparison.Ordinal) || !known.StartsWith("peregrine", StringComparison.Ordinal))
            throw new NotSupportedException($"The installed {_dpdk.Version} is not laid out like the known {DpdkAbi.Version}: pool '{known}' has operations '{name}', not those of a ring.");
    }

    /// <summary>struct rte_mempool.</summary>
    public byte* Address => _pool;

    /// <summary>Buffers that were made.</summary>
    public int Count => _all.Length;

    /// <summary>Buffers that lie in the pool.</summary>
    public uint Available => _count(_pool);

    /// <summary>Buffers that have their bytes in DPDK's memory behind them.</summary>
    /// <param name="eal">The running DPDK.</param>
    /// <param name="name">Begins with "peregrine"; at most 25 letters.</param>
    /// <param name="count">Buffers.</param>
    /// <param name="room">Bytes in each, headroom included.</param>
    /// <param name="node">The NUMA node, or -1.</param>
    /// <param name="operations">Who may free.</param>
    public static MbufPool CreateCopied(DpdkEal eal, string name, int count, int room, int node, string operations)
    {
        var pool = Create(eal, name, count, Mbuf.Size + room, room, node, operations);
        pool.Each((m, i) => eal.Library.InitBuffer(pool.Address, null, m, (uint)i));
        return pool;
    }

    /// <summary>Bare descriptions, without bytes: <paramref name="attach"/> gives each its first buffer, or the owner does before it is sent.</summary>
    public static MbufPool CreateBare(DpdkEal eal, string name, int count, int room, int node, string operations, Func<nint>? attach)
    {
        var pool = Create(eal, name, count, Mbuf.Size, room, node, operations);
        pool.Each((m, _) =>
        {
            *m = new Mbuf
            {
                Pool = pool.Address, References = 1, SegmentCount = 1, Port = ushort.MaxValue, BufferLength = (ushort)room, DataOffset = DpdkAbi.BufferHeadroom,
            };
            if (attach is null) return;
            m->Buffer = (byte*)attach();
            m->BufferIova = (ulong)m->Buffer;
        });
        return pool;
    }

    /// <summary>Takes what lies in the pool, at most <paramref name="max"/>.</summary>
    public int TakeAll(Mbuf** buffers, int max)
    {
        var n = Math.Min(_count(_pool), (uint)max);
        return n == 0 || _dequeue(_pool, buffers, n) != 0 ? 0 : (int)n;
    }

    /// <summary>Gives back. The ring has room for all that were made, so it cannot fail.</summary>
    public void Give(Mbuf** buffers, int count)
    {
        if (count > 0 && _enqueue(_pool, buffers, (uint)count) != 0) ThrowOverfull();
    }

    /// <summary>Gives the chunks back that buffers point at, wherever the buffers are. The device must be closed.</summary>
    public void Detach(ChunkPool chunks)
    {
        foreach (var buffer in _all)
        {
            var m = (Mbuf*)buffer;
            if (m->Buffer == null) continue;
            chunks.Return((uint)((nuint)(m->Buffer - chunks.Base) / (nuint)chunks.ChunkSize));
            m->Buffer = null;
        }
    }

    public void Dispose()
    {
        if (_pool == null) return;
        _dpdk.FreePool(_pool);
        _pool = null;
    }

    private static MbufPool Create(DpdkEal eal, string name, int count, int elementSize, int room, int node, string operations)
    {
        var dpdk = eal.Library;
        byte* pool;
        fixed (byte* text = DpdkLibrary.Text(name)) pool = dpdk.CreatePool(text, (uint)count, (uint)elementSize, 0, 8, node, 0);
        if (pool == null)
            throw new InsufficientMemoryException($"DPDK has no memory for {count} buffers of {elementSize} bytes: raise it with eal=-m MEGABYTES, or reserve huge pages.{eal.Log.Tail()}");
        try
        {
            int set;
            fixed (byte* text = DpdkLibrary.Text(operations)) set = dpdk.SetPoolOperations(pool, text, null);
            if (set != 0)
                throw new DllNotFoundException($"DPDK has no buffer pools of the kind '{operations}': install librte-mempool-ring23.{eal.Log.Tail()}");
            // struct rte_pktmbuf_pool_private: bytes in a buffer, bytes of private data, flags.
            var shape = (ulong)(ushort)room;
            dpdk.InitBufferPool(pool, &shape);
            var populated = dpdk.PopulatePool(pool);
            if (populated != count)
                throw new InsufficientMemoryException($"DPDK has memory for {Math.Max(populated, 0)} of {count} buffers of {elementSize} bytes: raise it with eal=-m MEGABYTES, or reserve huge pages.{eal.Log.Tail()}");
            return new MbufPool(eal, pool, count);
        }
        catch
        {
            dpdk.FreePool(pool);
            throw;
        }
    }

    private delegate void Visit(Mbuf* buffer, int index);

    private void Each(Visit visit)
    {
        fixed (nint* first = _all)
        {
            if (TakeAll((Mbuf**)first, Count) != Count) throw new NotSupportedException($"The installed {_dpdk.Version} does not fill its buffer pools as the known {DpdkAbi.Version} does.");
            for (var i = 0; i < Count; i++) visit((Mbuf*)first[i], i);
            Give((Mbuf**)first, Count);
        }
    }

    private static string ReadName(byte* text) => System.Runtime.InteropServices.Marshal.PtrToStringUTF8((nint)text) ?? "";

    private static void ThrowOverfull() => throw new InvalidOperationException("A DPDK buffer was given back twice.");
}
