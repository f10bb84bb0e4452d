// DPDK's exported functions, found when the first link over it is opened; a process without one needs no DPDK. Only names and signatures.
using System.Runtime.InteropServices;
using System.Text;

namespace Peregrine.Drivers.Dpdk;

internal sealed unsafe class DpdkLibrary
{
    /// <summary>Debian's packages: those that any device needs, and the drivers of software that are most useful. A card has one of its own.</summary>
    public const string Packages = "librte-eal23 librte-ethdev23 librte-mempool-ring23 librte-bus-vdev23 librte-bus-pci23 librte-net-null23 librte-net-ring23 librte-net-af-packet23";

    private readonly nint _eal, _ethdev, _mempool, _mbuf;

    private DpdkLibrary(nint eal, nint ethdev, nint mempool, nint mbuf)
    {
        (_eal, _ethdev, _mempool, _mbuf) = (eal, ethdev, mempool, mbuf);
        Version = Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)Find(eal, "rte_version"))()) ?? "";
        EalInit = (delegate* unmanaged<int, byte**, int>)Find(eal, "rte_eal_init");
        OpenLogStream = (delegate* unmanaged<nint, int>)Find(eal, "rte_openlog_stream");
        HotplugAdd = (delegate* unmanaged<byte*, byte*, byte*, int>)Find(eal, "rte_eal_hotplug_add");
        HotplugRemove = (delegate* unmanaged<byte*, byte*, int>)Find(eal, "rte_eal_hotplug_remove");
        Probe = (delegate* unmanaged<byte*, int>)Find(eal, "rte_dev_probe");
        RemoveDevice = (delegate* unmanaged<void*, int>)Find(eal, "rte_dev_remove");
        IovaMode = (delegate* unmanaged<int>)Find(eal, "rte_eal_iova_mode");
        RegisterMemory = (delegate* unmanaged<void*, nuint, void*, uint, nuint, int>)Find(eal, "rte_extmem_register");
        UnregisterMemory = (delegate* unmanaged<void*, nuint, int>)Find(eal, "rte_extmem_unregister");
        MapForDevice = (delegate* unmanaged<void*, void*, ulong, nuint, int>)Find(eal, "rte_dev_dma_map");
        UnmapForDevice = (delegate* unmanaged<void*, void*, ulong, nuint, int>)Find(eal, "rte_dev_dma_unmap");
        PortByName = (delegate* unmanaged<byte*, ushort*, int>)Find(ethdev, "rte_eth_dev_get_port_by_name");
        PortInfo = (delegate* unmanaged<ushort, void*, int>)Find(ethdev, "rte_eth_dev_info_get");
        Configure = (delegate* unmanaged<ushort, ushort, ushort, void*, int>)Find(ethdev, "rte_eth_dev_configure");
        AdjustDescriptors = (delegate* unmanaged<ushort, ushort*, ushort*, int>)Find(ethdev, "rte_eth_dev_adjust_nb_rx_tx_desc");
        SetUpReceiveQueue = (delegate* unmanaged<ushort, ushort, ushort, uint, void*, void*, int>)Find(ethdev, "rte_eth_rx_queue_setup");
        SetUpSendQueue = (delegate* unmanaged<ushort, ushort, ushort, uint, void*, int>)Find(ethdev, "rte_eth_tx_queue_setup");
        Start = (delegate* unmanaged<ushort, int>)Find(ethdev, "rte_eth_dev_start");
        Stop = (delegate* unmanaged<ushort, int>)Find(ethdev, "rte_eth_dev_stop");
        Close = (delegate* unmanaged<ushort, int>)Find(ethdev, "rte_eth_dev_close");
        NumaNode = (delegate* unmanaged<ushort, int>)Find(ethdev, "rte_eth_dev_socket_id");
        LinkState = (delegate* unmanaged<ushort, ulong*, int>)Find(ethdev, "rte_eth_link_get_nowait");
        IsRemoved = (delegate* unmanaged<ushort, int>)Find(ethdev, "rte_eth_dev_is_removed");
        MacAddress = (delegate* unmanaged<ushort, byte*, int>)Find(ethdev, "rte_eth_macaddr_get");
        GetMtu = (delegate* unmanaged<ushort, ushort*, int>)Find(ethdev, "rte_eth_dev_get_mtu");
        SetMtu = (delegate* unmanaged<ushort, ushort, int>)Find(ethdev, "rte_eth_dev_set_mtu");
        Promiscuous = (delegate* unmanaged<ushort, int>)Find(ethdev, "rte_eth_promiscuous_enable");
        AllMulticast = (delegate* unmanaged<ushort, int>)Find(ethdev, "rte_eth_allmulticast_enable");
        GetHash = (delegate* unmanaged<ushort, void*, int>)Find(ethdev, "rte_eth_dev_rss_hash_conf_get");
        SetHash = (delegate* unmanaged<ushort, void*, int>)Find(ethdev, "rte_eth_dev_rss_hash_update");
        GetTable = (delegate* unmanaged<ushort, void*, ushort, int>)Find(ethdev, "rte_eth_dev_rss_reta_query");
        SetTable = (delegate* unmanaged<ushort, void*, ushort, int>)Find(ethdev, "rte_eth_dev_rss_reta_update");
        RegisterEvent = (delegate* unmanaged<ushort, int, void*, nint, int>)Find(ethdev, "rte_eth_dev_callback_register");
        UnregisterEvent = (delegate* unmanaged<ushort, int, void*, nint, int>)Find(ethdev, "rte_eth_dev_callback_unregister");
        CleanSent = (delegate* unmanaged<ushort, ushort, uint, int>)Find(ethdev, "rte_eth_tx_done_cleanup");
        CreatePool = (delegate* unmanaged<byte*, uint, uint, uint, uint, int, uint, byte*>)Find(mempool, "rte_mempool_create_empty");
        SetPoolOperations = (delegate* unmanaged<byte*, byte*, void*, int>)Find(mempool, "rte_mempool_set_ops_byname");
        PopulatePool = (delegate* unmanaged<byte*, int>)Find(mempool, "rte_mempool_populate_default");
        FreePool = (delegate* unmanaged<byte*, void>)Find(mempool, "rte_mempool_free");
        InitBufferPool = (delegate* unmanaged<byte*, void*, void>)Find(mbuf, "rte_pktmbuf_pool_init");
        InitBuffer = (delegate* unmanaged<byte*, void*, void*, uint, void>)Find(mbuf, "rte_pktmbuf_init");
        CheckBuffer = (delegate* unmanaged<Mbuf*, int, byte**, int>)Find(mbuf, "rte_mbuf_check");
        ReadBuffer = (delegate* unmanaged<Mbuf*, uint, uint, void*, byte*>)Find(mbuf, "__rte_pktmbuf_read");
        CopyBuffer = (delegate* unmanaged<Mbuf*, byte*, uint, uint, Mbuf*>)Find(mbuf, "rte_pktmbuf_copy");
        FreeBuffers = (delegate* unmanaged<Mbuf**, uint, void>)Find(mbuf, "rte_pktmbuf_free_bulk");
        FastPaths = (FastPath*)Find(ethdev, "rte_eth_fp_ops");
        OperationsTable = (byte*)Find(mempool, "rte_mempool_ops_table");
    }

    /// <summary>What the library calls itself: "DPDK 22.11.11".</summary>
    public string Version { get; }

    public readonly delegate* unmanaged<int, byte**, int> EalInit;
    public readonly delegate* unmanaged<nint, int> OpenLogStream;
    public readonly delegate* unmanaged<byte*, byte*, byte*, int> HotplugAdd;
    public readonly delegate* unmanaged<byte*, byte*, int> HotplugRemove;
    public readonly delegate* unmanaged<byte*, int> Probe;
    public readonly delegate* unmanaged<void*, int> RemoveDevice;
    public readonly delegate* unmanaged<int> IovaMode;
    public readonly delegate* unmanaged<void*, nuint, void*, uint, nuint, int> RegisterMemory;
    public readonly delegate* unmanaged<void*, nuint, int> UnregisterMemory;
    public readonly delegate* unmanaged<void*, void*, ulong, nuint, int> MapForDevice, UnmapForDevice;
    public readonly delegate* unmanaged<byte*, ushort*, int> PortByName;
    public readonly delegate* unmanaged<ushort, void*, int> PortInfo;
    public readonly delegate* unmanaged<ushort, ushort, ushort, void*, int> Configure;
    public readonly delegate* unmanaged<ushort, ushort*, ushort*, int> AdjustDescriptors;
    public readonly delegate* unmanaged<ushort, ushort, ushort, uint, void*, void*, int> SetUpReceiveQueue;
    public readonly delegate* unmanaged<ushort, ushort, ushort, uint, void*, int> SetUpSendQueue;
    public readonly delegate* unmanaged<ushort, int> Start, Stop, Close, NumaNode, IsRemoved, Promiscuous, AllMulticast;
    public readonly delegate* unmanaged<ushort, ulong*, int> LinkState;
    public readonly delegate* unmanaged<ushort, byte*, int> MacAddress;
    public readonly delegate* unmanaged<ushort, ushort*, int> GetMtu;
    public readonly delegate* unmanaged<ushort, ushort, int> SetMtu;
    public readonly delegate* unmanaged<ushort, void*, int> GetHash, SetHash;
    public readonly delegate* unmanaged<ushort, void*, ushort, int> GetTable, SetTable;
    public readonly delegate* unmanaged<ushort, int, void*, nint, int> RegisterEvent, UnregisterEvent;
    public readonly delegate* unmanaged<ushort, ushort, uint, int> CleanSent;
    public readonly delegate* unmanaged<byte*, uint, uint, uint, uint, int, uint, byte*> CreatePool;
    public readonly delegate* unmanaged<byte*, byte*, void*, int> SetPoolOperations;
    public readonly delegate* unmanaged<byte*, int> PopulatePool;
    public readonly delegate* unmanaged<byte*, void> FreePool;
    public readonly delegate* unmanaged<byte*, void*, void> InitBufferPool;
    public readonly delegate* unmanaged<byte*, void*, void*, uint, void> InitBuffer;
    public readonly delegate* unmanaged<Mbuf*, int, byte**, int> CheckBuffer;
    public readonly delegate* unmanaged<Mbuf*, uint, uint, void*, byte*> ReadBuffer;
    public readonly delegate* unmanaged<Mbuf*, byte*, uint, uint, Mbuf*> CopyBuffer;
    public readonly delegate* unmanaged<Mbuf**, uint, void> FreeBuffers;
    public readonly FastPath* FastPaths;
    public readonly byte* OperationsTable;

    /// <summary>Whether the libraries can be found at all; loads nothing that was not loaded.</summary>
    public static bool IsInstalled => NativeLibrary.TryLoad("librte_ethdev" + DpdkAbi.LibrarySuffix, out _);

    /// <summary>Loads the libraries by their ABI's name, so that another version is never taken for this one.</summary>
    /// <exception cref="DllNotFoundException">DPDK is missing or of another version; the message names what was found and the packages.</exception>
    public static DpdkLibrary Load() => new(Open("eal"), Open("ethdev"), Open("mempool"), Open("mbuf"));

    /// <summary>A function of a library that is not among the four, by the name of both.</summary>
    public static nint FindIn(string library, string name) => Find(Open(library), name);

    /// <summary>Text as C takes it.</summary>
    public static byte[] Text(string text) => Encoding.UTF8.GetBytes(text + '\0');

    private static nint Open(string name)
    {
        var file = "librte_" + name + DpdkAbi.LibrarySuffix;
        if (NativeLibrary.TryLoad(file, out var handle)) return handle;
        var others = FindOthers();
        throw new DllNotFoundException((others.Count == 0
                ? $"DPDK is not installed: {file} cannot be loaded."
                : $"Only another version of DPDK is installed ({string.Join(", ", others)}) and this program knows {DpdkAbi.Version} ({file}).")
            + $" Debian 12 has it: apt-get install {Packages}, or all of them with: apt-get install dpdk.");
    }

    private static List<string> FindOthers()
    {
        var found = new List<string>();
        string[] folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/local/lib/x86_64-linux-gnu", "/usr/local/lib/aarch64-linux-gnu"];
        foreach (var folder in folders.Where(Directory.Exists)) found.AddRange(Directory.EnumerateFiles(folder, "librte_eal.so.*"));
        return found;
    }

    private static nint Find(nint library, string name) => NativeLibrary.TryGetExport(library, name, out var address)
        ? address
        : throw new DllNotFoundException($"The installed DPDK has no '{name}': it is not the {DpdkAbi.Version} that this program knows, although its library bears that name.");
}
