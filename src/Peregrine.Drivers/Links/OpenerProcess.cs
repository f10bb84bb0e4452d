// The privileged opener's own side: a few questions, and descriptors for an answer. It runs as root beside a process that faces the network
// without rights, so this file is all that such a process could attack: it takes numbers and looks them up in a list that was closed before,
// and lets the kernel lock memory of the asker's for AF_XDP sockets that it has made.
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Peregrine.Drivers.Linux;
using Peregrine.Drivers.Xdp;

namespace Peregrine.Drivers;

internal static class OpenerProcess
{
    /// <summary>The most descriptors that one link has: its queues' and one more, the attachment of an XDP program.</summary>
    public const int DescriptorCountMax = 65;

    private const int LinkCountMax = 64;

    // What a message may bring along: an XDP program; a socket and memory.
    private const int BroughtCountMax = 2, RegistrationCount = 6;

    /// <summary>Answers until the other end of the socket is closed, which the kernel does when that process ends in whatever way.</summary>
    public static void Run(int socket)
    {
        // Ctrl-C goes to all of a terminal's processes; the other one still needs us until it has ended.
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, static context => context.Cancel = true);
        Posix.SetCloseOnExec(socket, true);
        Accounts.RefuseNewPrivileges();
        Serve(socket);
        Posix.Close(socket);
    }

    /// <summary>The loop itself.</summary>
    public static void Serve(int socket)
    {
        var links = new List<LinkReopening>();
        var isSealed = false;
        var bytes = new byte[LinkOpener.MessageBytesMax];
        var received = new int[BroughtCountMax];
        while (true)
        {
            var result = UnixSocket.Receive(socket, bytes, received, out var receivedCount, wait: true);
            if (result.Errno == Errno.EINTR) continue;
            if (result.IsError || result.Int32 == 0) return;
            int[] descriptors = [];
            string answer;
            var known = links.Count;
            try
            {
                (answer, descriptors) = Answer(Encoding.UTF8.GetString(bytes, 0, result.Int32), received[..receivedCount], links, ref isSealed);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or FormatException or OverflowException)
            {
                answer = e.Message;
            }
            // What came along belongs to a link that was added to the list, or to nobody.
            if (links.Count == known) Close(received.AsSpan(0, receivedCount));
            var sent = Send(socket, answer, descriptors);
            Close(descriptors);
            if (!sent) return;
        }
    }

    private static (string Answer, int[] Descriptors) Answer(string question, int[] received, List<LinkReopening> links, ref bool isSealed)
    {
        var space = question.IndexOf(' ', StringComparison.Ordinal);
        var word = space < 0 ? question : question[..space];
        var rest = space < 0 ? "" : question[(space + 1)..];
        switch (word)
        {
            case "hello":
                return ("ok 0", []);
            case "seal":
                isSealed = true;
                return ("ok 0", []);
            case "allow" when !isSealed && links.Count < LinkCountMax:
                links.Add(LinkReopening.Parse(rest) with { Held = received });
                return (string.Create(CultureInfo.InvariantCulture, $"ok {links.Count - 1}"), []);
            case "open" when isSealed && int.TryParse(rest, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number < links.Count:
                var descriptors = links[number].Open();
                return (string.Create(CultureInfo.InvariantCulture, $"ok {descriptors.Length}"), descriptors);
            case "register" when isSealed && received is [var socket, var memory] && links.Exists(static link => link.Held.Length > 0):
                return (string.Create(CultureInfo.InvariantCulture, $"ok {(int)XdpOpening.Register(socket, memory, Registration(rest)).Errno}"), []);
            default:
                return ("the privileged opener refuses that: it opens only links that were named to it at the start", []);
        }
    }

    private static XdpUmemRegistration Registration(string text)
    {
        var parts = text.Split(' ');
        if (parts.Length != RegistrationCount) throw new FormatException($"A registration has {RegistrationCount} numbers, not {parts.Length}.");
        var numbers = Array.ConvertAll(parts, static part => ulong.Parse(part, NumberStyles.None, CultureInfo.InvariantCulture));
        return new XdpUmemRegistration
        {
            Address = numbers[0],
            Length = numbers[1],
            ChunkSize = (uint)numbers[2],
            Headroom = (uint)numbers[3],
            Flags = (uint)numbers[4],
            MetadataLength = (uint)numbers[5],
        };
    }

    private static void Close(ReadOnlySpan<int> descriptors)
    {
        foreach (var descriptor in descriptors) Posix.Close(descriptor);
    }

    private static bool Send(int socket, string answer, ReadOnlySpan<int> descriptors)
    {
        var bytes = Encoding.UTF8.GetBytes(answer);
        ReadOnlySpan<byte> message = bytes.AsSpan(0, Math.Min(bytes.Length, LinkOpener.MessageBytesMax));
        do
        {
            var part = descriptors[..Math.Min(descriptors.Length, UnixSocket.DescriptorCountMax)];
            if (UnixSocket.Send(socket, message, part).IsError) return false;
            descriptors = descriptors[part.Length..];
        }
        while (!descriptors.IsEmpty);
        return true;
    }
}
