// DPDK's environment, which a process can have once: initialised by the first link that needs it, never cleaned up. Chooses arguments that
// work without reserved huge pages and leave no files behind; the user's own come after them.
using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Dpdk;

internal sealed unsafe class DpdkEal
{
    private const int MegabytesWithoutHugePages = 256;
    private const string HugePageFolder = "/sys/kernel/mm/hugepages";

    private static readonly Lock s_lock = new();
    private static DpdkEal? s_eal;
    private static Exception? s_failure;

    private DpdkEal(DpdkLibrary library, DpdkBuild build, DpdkLog log, string arguments) => (Library, Build, Log, Arguments) = (library, build, log, arguments);

    public DpdkLibrary Library { get; }

    public DpdkBuild Build { get; }

    public DpdkLog Log { get; }

    /// <summary>What the user added.</summary>
    public string Arguments { get; }

    /// <summary>Whether devices use the process's own addresses. Else memory of ours has no address for a card and frames are copied.</summary>
    public bool AddressIsVirtual => Library.IovaMode() == DpdkAbi.AddressIsVirtual;

    /// <summary>Control calls of all links, one at a time: DPDK's own are not safe against each other in all drivers.</summary>
    public static Lock Control { get; } = new();

    /// <summary>The process's environment; the first call makes it.</summary>
    /// <param name="arguments">Arguments of the user's, separated by blanks; null takes what is there.</param>
    /// <exception cref="DllNotFoundException">DPDK is missing.</exception>
    /// <exception cref="NotSupportedException">It is another version or another build.</exception>
    /// <exception cref="IOException">It does not start; the message has what it said.</exception>
    /// <exception cref="InvalidOperationException">It runs already, with other arguments.</exception>
    public static DpdkEal Get(string? arguments)
    {
        lock (s_lock)
        {
            // DPDK remembers half of a failed start: a second attempt would only say so.
            if (s_failure is not null) throw new IOException(s_failure.Message, s_failure);
            if (s_eal is null) return s_eal = Start(arguments ?? "");
            if (arguments is not null && arguments != s_eal.Arguments)
                throw new InvalidOperationException($"DPDK runs in this process already, with eal='{s_eal.Arguments}': it takes its arguments once, from the first link. Give all links the same.");
            return s_eal;
        }
    }

    /// <summary>The whole command line for rte_eal_init.</summary>
    public static List<string> CommandLine(string arguments, bool hasHugePages, IEnumerable<int> processors)
    {
        var given = arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        bool Has(params string[] names) => given.Any(word => names.Any(name => word == name || word.StartsWith(name + "=", StringComparison.Ordinal)));
        List<string> line = ["peregrine", "--no-telemetry"];
        if (!Has("--log-level")) line.Add("--log-level=warning");
        // No files, no sockets, no second process that joins; several programs do not meet. Without huge pages DPDK knows --in-memory not.
        if (!Has("--in-memory", "--file-prefix", "--proc-type", "--huge-dir", "--no-shconf")) line.Add(hasHugePages && !Has("--no-huge") ? "--in-memory" : "--no-shconf");
        // One lcore that may run on all our processors: DPDK would else bind the calling thread to one. Our cores are threads of our own.
        if (!Has("-l", "-c", "--lcores", "-s")) line.Add($"--lcores=0@({string.Join(',', processors)})");
        // No card is taken because it is there: this allows one that has no driver, and links add theirs.
        if (!Has("-a", "--allow", "-b", "--block", "--no-pci")) line.Add("--allow=0000:00:00.0");
        if (!hasHugePages && !Has("--no-huge"))
        {
            line.Add("--no-huge");
            if (!Has("-m", "--socket-mem")) line.AddRange(["-m", MegabytesWithoutHugePages.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        }
        line.AddRange(given);
        return line;
    }

    private static DpdkEal Start(string arguments)
    {
        var library = DpdkLibrary.Load();
        var build = DpdkCheck.Tables(library);
        var eal = new DpdkEal(library, build, new DpdkLog(), arguments);
        library.OpenLogStream(eal.Log.Stream);
        var line = CommandLine(arguments, HasFreeHugePages(), Posix.Processors());
        var result = 0;
        // On a thread of its own, because DPDK changes the affinity of the one that calls.
        var thread = new Thread(() => result = Initialise(library, line)) { Name = "dpdk", IsBackground = true };
        thread.Start();
        thread.Join();
        try
        {
            if (result < 0)
                throw new IOException($"DPDK does not start ({string.Join(' ', line)}).{eal.Log.Tail()} Without reserved huge pages or as an ordinary user, eal=--no-huge is what works.");
            DpdkCheck.Buffers(eal);
            return eal;
        }
        catch (Exception e)
        {
            s_failure = e;
            throw;
        }
    }

    private static int Initialise(DpdkLibrary library, List<string> line)
    {
        // DPDK keeps pointers into these: they are never freed.
        var words = (byte**)NativeMemory.AllocZeroed((nuint)line.Count + 1, (nuint)sizeof(byte*));
        for (var i = 0; i < line.Count; i++) words[i] = (byte*)Marshal.StringToCoTaskMemUTF8(line[i]);
        return library.EalInit(line.Count, words);
    }

    private static bool HasFreeHugePages()
    {
        try
        {
            return Directory.Exists(HugePageFolder) && Directory.EnumerateDirectories(HugePageFolder)
                .Any(folder => long.TryParse(File.ReadAllText(Path.Combine(folder, "free_hugepages")), out var count) && count > 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
