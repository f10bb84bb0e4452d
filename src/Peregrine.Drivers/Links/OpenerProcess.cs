// The privileged opener's own side: three questions, and descriptors for an answer. It runs as root beside a process that faces the network
// without rights, so this file is all that such a process could attack: it takes numbers and looks them up in a list that was closed before.
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

internal static class OpenerProcess
{
    /// <summary>The most descriptors that one link has: its queues.</summary>
    public const int DescriptorCountMax = 64;

    private const int LinkCountMax = 64;

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
        while (true)
        {
            var result = UnixSocket.Receive(socket, bytes, [], out _, wait: true);
            if (result.Errno == Errno.EINTR) continue;
            if (result.IsError || result.Int32 == 0) return;
            int[] descriptors = [];
            string answer;
            try
            {
                (answer, descriptors) = Answer(Encoding.UTF8.GetString(bytes, 0, result.Int32), links, ref isSealed);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or FormatException)
            {
                answer = e.Message;
            }
            var sent = Send(socket, answer, descriptors);
            foreach (var descriptor in descriptors) Posix.Close(descriptor);
            if (!sent) return;
        }
    }

    private static (string Answer, int[] Descriptors) Answer(string question, List<LinkReopening> links, ref bool isSealed)
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
                links.Add(LinkReopening.Parse(rest));
                return (string.Create(CultureInfo.InvariantCulture, $"ok {links.Count - 1}"), []);
            case "open" when isSealed && int.TryParse(rest, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number < links.Count:
                var descriptors = links[number].Open();
                return (string.Create(CultureInfo.InvariantCulture, $"ok {descriptors.Length}"), descriptors);
            default:
                return ("the privileged opener refuses that: it opens only links that were named to it at the start", []);
        }
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
