import jakarta.websocket.ContainerProvider;
import jakarta.websocket.WebSocketContainer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSession;
import org.cometd.bayeux.client.ClientSessionChannel;
import org.cometd.client.BayeuxClient;
import org.cometd.client.ext.AckExtension;
import org.cometd.client.http.jetty.JettyHttpClientTransport;
import org.cometd.client.transport.ClientTransport;
import org.cometd.client.websocket.jakarta.WebSocketTransport;
import org.cometd.common.JettyJSONContextClient;
import org.eclipse.jetty.client.HttpClient;

/** Clients of CometD for Java, told what to do by lines of JSON on the standard input: see ../remote.ts. */
public class Clients {
    private static final JettyJSONContextClient JSON = new JettyJSONContextClient();
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static final Map<Long, Peer> PEERS = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            @SuppressWarnings("unchecked")
            Map<String, Object> fields = JSON.getParser().parse(new StringReader(line), Map.class);
            act(fields);
        }
        System.exit(0);
    }

    private static void act(Map<String, Object> line) {
        long id = (Long)line.get("id");
        long number = (Long)line.get("peer");
        try {
            if ("make".equals(line.get("action"))) {
                PEERS.put(number, new Peer(line));
                say("id", id);
            } else {
                PEERS.get(number).act(id, line);
            }
        } catch (Throwable x) {
            say("id", id, "error", x.toString());
        }
    }

    private static synchronized void say(Object... pairs) {
        Map<String, Object> line = new HashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            line.put((String)pairs[i], pairs[i + 1]);
        }
        OUT.println(JSON.getGenerator().generate(line));
    }

    /** Says whether what was asked for was granted. */
    private static void settle(long id, Message reply) {
        if (reply.isSuccessful()) {
            say("id", id);
        } else {
            Object error = reply.get(Message.ERROR_FIELD);
            say("id", id, "error", error == null ? String.valueOf(reply.get("failure")) : error);
        }
    }

    private static class Peer {
        private final HttpClient httpClient = new HttpClient();
        private final BayeuxClient client;
        private final Map<Long, Subscription> subscriptions = new ConcurrentHashMap<>();
        private boolean opened;

        private Peer(Map<String, Object> line) throws Exception {
            httpClient.start();
            List<ClientTransport> transports = new ArrayList<>();
            for (Object name : (Object[])line.get("transports")) {
                transports.add(transport((String)name, line));
            }
            ClientTransport first = transports.remove(0);
            client = new BayeuxClient((String)line.get("url"), first, transports.toArray(ClientTransport[]::new));
            client.setOption(BayeuxClient.BACKOFF_INCREMENT_OPTION, 50L);
            if (Boolean.TRUE.equals(line.get("acknowledgement"))) {
                client.addExtension(new AckExtension());
            }
            client.getChannel(Channel.META_HANDSHAKE).addListener((ClientSessionChannel.MessageListener)(channel, reply) -> {
                // A new session knows nothing of the subscriptions of the old one.
                if (reply.isSuccessful() && opened) {
                    client.batch(() -> subscriptions.values().forEach(subscription -> subscription.subscribe(ClientSession.MessageListener.NOOP)));
                }
                opened |= reply.isSuccessful();
            });
        }

        private ClientTransport transport(String name, Map<String, Object> line) {
            Map<String, Object> options = new HashMap<>();
            if (line.get("options") instanceof Map<?, ?> some) {
                some.forEach((option, value) -> options.put((String)option, value));
            }
            if (name.equals("long-polling")) {
                return new JettyHttpClientTransport(options, httpClient);
            }
            WebSocketContainer container = ContainerProvider.getWebSocketContainer();
            return new WebSocketTransport(options, null, container);
        }

        private void act(long id, Map<String, Object> line) throws Exception {
            String channel = (String)line.get("channel");
            switch ((String)line.get("action")) {
                case "open" -> client.handshake(reply -> {
                    if (reply.isSuccessful()) {
                        say("id", id, "value", client.getId());
                    } else if (reply.get(Message.ERROR_FIELD) != null) {
                        // What only the transport failed to do is tried again.
                        settle(id, reply);
                    }
                });
                case "transport" -> say("id", id, "value", client.getTransport().getName());
                case "subscribe" -> {
                    Subscription subscription = new Subscription(client, channel, (Long)line.get("subscription"));
                    subscription.subscribe(reply -> {
                        if (reply.isSuccessful()) {
                            subscriptions.put(subscription.number, subscription);
                        }
                        settle(id, reply);
                    });
                }
                case "unsubscribe" -> subscriptions.remove((Long)line.get("subscription")).unsubscribe(reply -> settle(id, reply));
                case "publish" -> client.getChannel(channel).publish(line.get("data"), reply -> settle(id, reply));
                case "remoteCall" -> client.remoteCall((String)line.get("target"), line.get("data"), reply ->
                    say("id", id, "value", Map.of("successful", reply.isSuccessful(), "data", reply.getData())));
                case "startBatch" -> {
                    client.startBatch();
                    say("id", id);
                }
                case "endBatch" -> {
                    client.endBatch();
                    say("id", id);
                }
                case "close" -> {
                    if (client.isDisconnected()) {
                        close(id);
                    } else {
                        client.disconnect(reply -> close(id));
                    }
                }
                default -> throw new IllegalArgumentException((String)line.get("action"));
            }
        }

        private void close(long id) {
            say("id", id);
            // Not by a thread of its own.
            new Thread(() -> {
                try {
                    httpClient.stop();
                } catch (Exception x) {
                    x.printStackTrace();
                }
            }).start();
        }
    }

    private static class Subscription implements ClientSessionChannel.MessageListener {
        private final BayeuxClient client;
        private final String channel;
        private final long number;

        private Subscription(BayeuxClient client, String channel, long number) {
            this.client = client;
            this.channel = channel;
            this.number = number;
        }

        private void subscribe(ClientSession.MessageListener callback) {
            client.getChannel(channel).subscribe(this, callback);
        }

        private void unsubscribe(ClientSession.MessageListener callback) {
            client.getChannel(channel).unsubscribe(this, callback);
        }

        @Override
        public void onMessage(ClientSessionChannel from, Message message) {
            say("listener", number, "channel", message.getChannel(), "data", message.getData());
        }
    }
}
