// Proves at load that the installed DPDK has the structures that DpdkLayout says: by its version, by the sizes of its exported tables, and by
// letting its own functions write and read a buffer that we look at by our offsets. A build that fails is refused before it sees a frame.
using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Dpdk;

internal static unsafe class DpdkCheck
{
    private const int RoomBytes = 512;

    /// <summary>What can be said before anything is initialised: version, sizes of tables, the burst functions' stride.</summary>
    /// <exception cref="NotSupportedException">Another version or another layout.</exception>
    public static DpdkBuild Tables(DpdkLibrary dpdk)
    {
        CheckVersion(dpdk.Version);
        Check(dpdk, "rte_eth_fp_ops", Posix.SymbolSize((nint)dpdk.FastPaths), DpdkAbi.FastPathTableSize);
        // DPDK fills every port's entry with the same functions, which complain, until a device takes it.
        var first = dpdk.FastPaths;
        for (var i = 1; i < DpdkAbi.PortCountMax; i++)
        {
            ref var entry = ref dpdk.FastPaths[i];
            if (first->Receive == null || first->Send == null || first->ReceiveQueues == null || first->SendQueues == null
                || entry.Receive != first->Receive || entry.Send != first->Send || (nint)entry.ReceiveQueues == 0 || (nint)entry.SendQueues == 0)
                Refuse(dpdk, $"entry {i} of rte_eth_fp_ops is not what it should be");
        }
        return BuildFor(dpdk, Posix.SymbolSize((nint)dpdk.OperationsTable));
    }

    /// <summary>Refuses all versions but those whose layout is known.</summary>
    public static void CheckVersion(string version)
    {
        var number = version.StartsWith("DPDK ", StringComparison.Ordinal) ? version[5..] : version;
        if (number != DpdkAbi.Version && !number.StartsWith(DpdkAbi.Version + ".", StringComparison.Ordinal))
            throw new NotSupportedException($"The installed DPDK calls itself '{version}'; known is {DpdkAbi.Version} (Debian 12). Its frames' layout may differ, so it is not used.");
    }

    /// <summary>Which build has an operations table of this size.</summary>
    public static DpdkBuild BuildFor(DpdkLibrary dpdk, nuint tableSize)
    {
        foreach (var build in DpdkBuild.Known)
        {
            if ((nuint)build.OperationsTableSize == tableSize) return build;
        }
        Refuse(dpdk, $"rte_mempool_ops_table has {tableSize} bytes; known are {string.Join(" and ", DpdkBuild.Known.Select(b => b.OperationsTableSize))}");
        return default;
    }

    /// <summary>What needs DPDK's memory: lets its functions make, chain, read and copy buffers, and looks at them by our offsets.</summary>
    /// <exception cref="NotSupportedException">A field lies elsewhere.</exception>
    public static void Buffers(DpdkEal eal)
    {
        var dpdk = eal.Library;
        using var pool = MbufPool.CreateCopied(eal, "peregrine_check", 4, RoomBytes, -1, MbufPool.ManyProducers);
        Check(dpdk, "rte_mempool.size", *(uint*)(pool.Address + DpdkAbi.PoolSize), 4);
        Check(dpdk, "rte_mempool.elt_size", *(uint*)(pool.Address + DpdkAbi.PoolElementSize), Mbuf.Size + RoomBytes);
        var buffers = stackalloc Mbuf*[4];
        Check(dpdk, "rte_mempool_ops.get_count", pool.Available, 4);
        if (pool.TakeAll(buffers, 4) != 4) Refuse(dpdk, "its buffer pool gives no buffers");
        for (var i = 0; i < 4; i++) Fresh(dpdk, pool, buffers[i]);
        Chain(dpdk, pool, buffers);
        pool.Give(buffers, 4);
        Check(dpdk, "buffers given back", pool.Available, 4);
    }

    private static void Fresh(DpdkLibrary dpdk, MbufPool pool, Mbuf* m)
    {
        dpdk.InitBuffer(pool.Address, null, m, 0);
        Check(dpdk, "rte_mbuf.buf_addr", (nuint)m->Buffer, (nuint)m + Mbuf.Size);
        Check(dpdk, "rte_mbuf.buf_len", m->BufferLength, RoomBytes);
        Check(dpdk, "rte_mbuf.data_off", m->DataOffset, DpdkAbi.BufferHeadroom);
        Check(dpdk, "rte_mbuf.refcnt", m->References, 1);
        Check(dpdk, "rte_mbuf.nb_segs", m->SegmentCount, 1);
        Check(dpdk, "rte_mbuf.port", m->Port, ushort.MaxValue);
        Check(dpdk, "rte_mbuf.pool", (nuint)m->Pool, (nuint)pool.Address);
        Check(dpdk, "rte_mbuf.next", (nuint)m->Next, 0);
        Check(dpdk, "rte_mbuf.priv_size", m->PrivateSize, 0);
    }

    // Two chained buffers described at our offsets: DPDK's checker must agree, its reader must gather the bytes, its copy must carry flags and tag.
    private static void Chain(DpdkLibrary dpdk, MbufPool pool, Mbuf** buffers)
    {
        const ulong flags = Mbuf.SendVlan | Mbuf.SendIPv4 | Mbuf.SendTcpChecksum, offload = 14 | (20UL << Mbuf.NetworkLengthShift);
        Mbuf* head = buffers[0], tail = buffers[1];
        (head->SegmentCount, head->PacketLength, head->DataLength) = (2, 70, 50);
        head->Next = tail;
        (head->Flags, head->VlanTag, head->SendOffload, head->Hash, head->PacketType) = (flags, 0x1234, offload, 0xCAFE_F00D, 0x111);
        tail->DataLength = 20;
        for (var i = 0; i < 50; i++) head->Buffer[head->DataOffset + i] = (byte)i;
        for (var i = 0; i < 20; i++) tail->Buffer[tail->DataOffset + i] = (byte)(50 + i);
        byte* reason = null;
        if (dpdk.CheckBuffer(head, 1, &reason) != 0) Refuse(dpdk, "its checker finds our buffer wrong: " + Marshal.PtrToStringUTF8((nint)reason));
        var gathered = stackalloc byte[70];
        var read = dpdk.ReadBuffer(head, 0, 70, gathered);
        for (var i = 0; i < 70; i++)
        {
            if (read == null || read[i] != i) Refuse(dpdk, "it reads other bytes than we wrote (rte_mbuf.next, data_len, pkt_len)");
        }
        if (dpdk.ReadBuffer(head, 0, 71, gathered) != null) Refuse(dpdk, "it does not see the end of a buffer (rte_mbuf.pkt_len)");
        // A pool without buffers cannot copy: two were taken from it, so give two back first.
        pool.Give(buffers + 2, 2);
        var copy = dpdk.CopyBuffer(head, pool.Address, 0, 70);
        if (copy == null) Refuse(dpdk, "it cannot copy a buffer");
        Check(dpdk, "rte_mbuf.ol_flags", copy->Flags, flags);
        Check(dpdk, "rte_mbuf.vlan_tci", copy->VlanTag, 0x1234);
        Check(dpdk, "rte_mbuf.tx_offload", copy->SendOffload, offload);
        Check(dpdk, "rte_mbuf.packet_type", copy->PacketType, 0x111);
        Check(dpdk, "rte_mbuf.hash", copy->Hash, 0xCAFE_F00D);
        Check(dpdk, "rte_mbuf.pkt_len of a copy", copy->PacketLength, 70);
        dpdk.FreeBuffers(&copy, 1);
        Check(dpdk, "buffers freed", pool.TakeAll(buffers + 2, 2) == 2 ? 2u : 0u, 2);
        dpdk.InitBuffer(pool.Address, null, head, 0);
        dpdk.InitBuffer(pool.Address, null, tail, 0);
    }

    private static void Check(DpdkLibrary dpdk, string what, nuint found, nuint known)
    {
        if (found != known) Refuse(dpdk, $"{what} is {found} and should be {known}");
    }

    private static void Check(DpdkLibrary dpdk, string what, ulong found, ulong known)
    {
        if (found != known) Refuse(dpdk, $"{what} is {found:x} and should be {known:x}");
    }

    private static void Refuse(DpdkLibrary dpdk, string why) =>
        throw new NotSupportedException($"The installed {dpdk.Version} is not laid out like the known {DpdkAbi.Version}: {why}. Install Debian's packages, or use another link.");
}
