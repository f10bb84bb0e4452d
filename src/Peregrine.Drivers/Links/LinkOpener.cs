// The privileged opener, seen from the process that gives root up: a child that keeps its rights and opens again what was named to it before
// the drop, over a pair of unix sockets, and nothing else. The child's side is OpenerProcess.
using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text;
using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

/// <summary>
/// A small process that keeps root while this one gives it up, so that links whose interface went and came back can be opened again. It takes
/// a number of a link that was named to it at the start, and passes descriptors back. It ends when this object is disposed of or the process ends.
/// </summary>
public sealed class LinkOpener : IDisposable
{
    /// <summary>The first argument by which a program knows that it is to be the opener; the second is a descriptor's number.</summary>
    public const string Verb = "peregrine-opener";

    /// <summary>The longest message in bytes, either way.</summary>
    internal const int MessageBytesMax = 4096;

    // A .NET process starts in a tenth of a second; a busy machine takes longer.
    private const long StartNanoseconds = 30_000_000_000;

    // The core waits for that long when its link is gone. Opening takes milliseconds.
    private const long AnswerNanoseconds = 2_000_000_000;

    private readonly Lock _gate = new();
    private readonly Process? _process;
    private int _socket;

    internal LinkOpener(int socket, Process? process)
    {
        (_socket, _process) = (socket, process);
    }

    /// <summary>The number of the process, or 0.</summary>
    public int ProcessId => _process?.Id ?? 0;

    /// <summary>How many links it may open again: those of kinds that need rights for that.</summary>
    public int LinkCount { get; private set; }

    /// <summary>
    /// To be called first in Main: where the arguments say that the process is to be an opener, is one until its parent ends, and returns true;
    /// the program then ends.
    /// </summary>
    public static bool TryRun(IReadOnlyList<string> arguments)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        if (arguments.Count != 2 || arguments[0] != Verb || !int.TryParse(arguments[1], NumberStyles.None, CultureInfo.InvariantCulture, out var socket)) return false;
        OpenerProcess.Run(socket);
        return true;
    }

    /// <summary>
    /// Starts the opener: this program again, whose Main calls <see cref="TryRun"/>, or another one that does. Call while the process has its
    /// rights; give the result as <see cref="LinkSettings.Opener"/> where links are opened; call <see cref="Seal"/> after the last.
    /// </summary>
    /// <param name="program">How to start it, with arguments that come before the verb; null for this program.</param>
    /// <exception cref="IOException">It does not start.</exception>
    public static LinkOpener Start(ProcessStartInfo? program = null)
    {
        var start = program ?? Self();
        Span<int> pair = stackalloc int[2];
        UnixSocket.CreatePair(UnixSocket.SequencedPackets, pair).ThrowIfError("cannot make a pair of sockets");
        LinkOpener? opener = null;
        try
        {
            Posix.SetCloseOnExec(pair[1], false).ThrowIfError("cannot pass a socket on");
            start.ArgumentList.Add(Verb);
            start.ArgumentList.Add(pair[1].ToString(CultureInfo.InvariantCulture));
            // Its own pipes, whose ends here are closed: it reads nothing and says nothing, and nobody waits for its end by ours.
            (start.RedirectStandardInput, start.RedirectStandardOutput, start.UseShellExecute) = (true, true, false);
            // A process with rights takes no orders but ours: no debugger's socket. And it is to be small.
            start.Environment["DOTNET_EnableDiagnostics"] = "0";
            start.Environment["DOTNET_gcServer"] = "0";
            foreach (var name in (string[])["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) start.Environment.Remove(name);
            var process = Process.Start(start) ?? throw new IOException("the opener does not start");
            process.StandardInput.Close();
            process.StandardOutput.Close();
            opener = new LinkOpener(pair[0], process);
            Posix.Close(pair[1]);
            pair[1] = -1;
            opener.Ask("hello", StartNanoseconds, []);
            return opener;
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            if (opener is null) Posix.Close(pair[0]);
            opener?.Dispose();
            if (pair[1] >= 0) Posix.Close(pair[1]);
            throw new IOException($"the privileged opener does not start ({e.Message})", e);
        }
    }

    /// <summary>From now on the opener takes no further link: call it before the rights are given up.</summary>
    /// <exception cref="IOException">The opener has ended.</exception>
    public void Seal() => Ask("seal", AnswerNanoseconds, []);

    /// <summary>Lets the process end.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_socket >= 0) Posix.Close(_socket);
            _socket = -1;
        }
        _process?.Dispose();
    }

    /// <summary>Names a link that has been opened, and gives it what asks for its descriptors; closes it when it is refused.</summary>
    internal T Allow<T>(T link, LinkReopening reopening, Action<Func<int[]>> setSource)
        where T : ILink
    {
        try
        {
            var (number, _) = Ask("allow " + reopening.ToText(), AnswerNanoseconds, [], reopening.Held);
            LinkCount++;
            setSource(() => OpenAgain(number));
            return link;
        }
        catch
        {
            link.Dispose();
            throw;
        }
    }

    /// <summary>Lets the opener register memory with an AF_XDP socket of its own, for it may lock more than this process.</summary>
    internal PosixResult Register(int socket, int memory, in XdpUmemRegistration registration)
    {
        var question = string.Create(CultureInfo.InvariantCulture,
            $"register {registration.Address} {registration.Length} {registration.ChunkSize} {registration.Headroom} {registration.Flags} {registration.MetadataLength}");
        var (errno, _) = Ask(question, AnswerNanoseconds, [], [socket, memory]);
        return errno == 0 ? default : PosixResult.Of((Errno)errno);
    }

    private int[] OpenAgain(int number)
    {
        var descriptors = new int[OpenerProcess.DescriptorCountMax];
        var (count, received) = Ask(string.Create(CultureInfo.InvariantCulture, $"open {number}"), AnswerNanoseconds, descriptors);
        if (count == received) return descriptors[..count];
        foreach (var descriptor in descriptors.AsSpan(0, received)) Posix.Close(descriptor);
        throw new IOException($"the privileged opener sent {received} descriptors and promised {count}");
    }

    /// <summary>One question and its answer, which is a number, and as many descriptors as that says where any are wanted.</summary>
    private (int Number, int Received) Ask(string question, long nanoseconds, Span<int> descriptors, ReadOnlySpan<int> sent = default)
    {
        lock (_gate)
        {
            if (_socket < 0) throw new IOException("the privileged opener has ended");
            UnixSocket.Send(_socket, Encoding.UTF8.GetBytes(question), sent).ThrowIfError("the privileged opener cannot be asked");
            var answer = Read(nanoseconds, descriptors, out var received);
            if (!answer.StartsWith("ok ", StringComparison.Ordinal)) throw new IOException(answer);
            var number = int.Parse(answer.AsSpan(3), NumberStyles.None, CultureInfo.InvariantCulture);
            while (!descriptors.IsEmpty && received < Math.Min(number, descriptors.Length))
            {
                Read(nanoseconds, descriptors[received..], out var more);
                if (more == 0) break;
                received += more;
            }
            return (number, received);
        }
    }

    private string Read(long nanoseconds, Span<int> descriptors, out int received)
    {
        Span<byte> bytes = stackalloc byte[MessageBytesMax];
        Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = _socket, Events = LinuxConstants.PollIn }];
        received = 0;
        PosixResult ready;
        do ready = Posix.Poll(poll, nanoseconds);
        while (ready.Errno == Errno.EINTR);
        var result = ready.Int32 <= 0 ? ready : UnixSocket.Receive(_socket, bytes, descriptors[..Math.Min(descriptors.Length, UnixSocket.DescriptorCountMax)], out received);
        if (!result.IsError && result.Int32 > 0) return Encoding.UTF8.GetString(bytes[..result.Int32]);
        // An answer that comes later would be taken for that to another question.
        Posix.Close(_socket);
        _socket = -1;
        throw new IOException(ready.Int32 == 0 ? "the privileged opener does not answer" : "the privileged opener has ended");
    }

    private static ProcessStartInfo Self()
    {
        var start = new ProcessStartInfo(Environment.ProcessPath ?? throw new IOException("the program's own path is not known"));
        // Under "dotnet program.dll" the process is dotnet's.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" && Assembly.GetEntryAssembly()?.GetName().Name is { } name)
            start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, name + ".dll"));
        return start;
    }
}
