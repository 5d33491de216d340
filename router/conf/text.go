package conf

// What an nginx keeps for all applications. Everything an application could influence is elsewhere.
const (
	// What both of them have. The host is what the client wrote, with its port.
	commonText = `
    default_type text/html;
    server_tokens off;
    gzip off;
    tcp_nodelay on;
    large_client_header_buffers 4 32k;
    client_max_body_size 1g;
    client_body_buffer_size 64k;
    variables_hash_max_size 2048;
    map_hash_bucket_size 256;
    map $http_host $lain_host { default $host; "~(?<lain_host_port>:[0-9]+)$" "$host$lain_host_port"; }
    map $http_upgrade $lain_upgrade { default ""; "~*^websocket$" $http_upgrade; }
    map $http_upgrade $lain_connection { default ""; "~*^websocket$" upgrade; }
`

	// A call of gRPC is a request in HTTP/2 of this type (gRPC over HTTP2, "Requests"); grpc-web is none. It may last, be
	// silent, and carry any amount in either direction. 418 is only ever the way to the location.
	grpcLocationText = `            client_max_body_size 0;
            client_body_timeout 2h;
            send_timeout 2h;
`

	// The edge passes bytes on as they come: buffers, and time limits shorter than these, are the other
	// one's. What it says of the client is believed there.
	edgeText = `    map "$server_protocol $http_content_type" $lain_grpc { default ""; "~^HTTP/2\.0 application/grpc(;|\+|$)" 1; }
    map $lain_connection $lain_edge_connection { default $lain_connection; "" close; }
    access_log off;
    keepalive_timeout 75s;

    proxy_http_version 1.1;
    proxy_redirect off;
    proxy_buffering off;
    proxy_buffer_size 32k;
    proxy_buffers 8 16k;
    proxy_request_buffering off;
    proxy_connect_timeout 5s;
    proxy_read_timeout 2h;
    proxy_send_timeout 2h;
    proxy_next_upstream off;
    proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset X-Accel-Buffering;

    proxy_set_header Host $lain_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Port $server_port;
    proxy_set_header X-Request-ID $request_id;
    proxy_set_header Upgrade $lain_upgrade;
    proxy_set_header Connection $lain_edge_connection;

    grpc_buffer_size 32k;
    grpc_connect_timeout 5s;
    grpc_read_timeout 2h;
    grpc_send_timeout 2h;
    grpc_next_upstream off;
    grpc_set_header Host $lain_host;
    grpc_set_header X-Real-IP $remote_addr;
    grpc_set_header X-Forwarded-For $remote_addr;
    grpc_set_header X-Forwarded-Proto $scheme;
    grpc_set_header X-Forwarded-Host $lain_host;
    grpc_set_header X-Forwarded-Port $server_port;
    grpc_set_header X-Original-URI $request_uri;
    grpc_set_header X-Request-ID $request_id;
    grpc_set_header Forwarded "";
    grpc_set_header Proxy "";
`

	// TLS 1.2 and 1.3 with the ciphers of Mozilla's "intermediate" list. Sessions are resumed from a cache in
	// memory and not by tickets: nginx would seal these with one key for as long as it runs, and whoever got
	// hold of it could read every recorded session.
	//
	// The file of chain and key is found at each handshake, so that neither a new certificate nor another one
	// needs a reload, which would cost clients their connections. Its name is the link that is called like the
	// host, followed to its end: a pair of files can change in one instant only if both halves are read from one
	// name, and the map makes that name once a handshake. A name that leads out of the folder, or nowhere,
	// fails the handshake, as a host without a certificate has to.
	tlsText = `    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
    ssl_prefer_server_ciphers off;
    ssl_ecdh_curve X25519:prime256v1:secp384r1;
    ssl_session_cache shared:lain_tls:16m;
    ssl_session_timeout 1h;
    ssl_session_tickets off;
    map $ssl_server_name $lain_tls_host { default "-"; "~^[a-z0-9][a-z0-9._-]*$" $ssl_server_name; }
    map $realpath_root $lain_tls_pair { default "/-"; "~/pairs/[0-9a-f]+\.pem$" $realpath_root; }
`

	// A second chance: a worker that is being replaced knows only the endpoints of its own generation. A
	// body that takes longer than a rollout would find none of them alive. When no byte has gone to any
	// endpoint ($upstream_bytes_sent is all zeros) the request is handed, once, to the workers that are
	// current, through the socket "again". $lain_inner is 1 on that second passage. Every request comes over
	// a socket that only the workers can open, so the headers that the edge has set can be believed.
	mapsText = `
    map $lain_inner $lain_outer { default 1; 1 0; }
    map "$lain_inner$upstream_bytes_sent" $lain_again { default ""; "~^0(, 0)*$" 1; }
    map $status $lain_status { default $status; "~^0" 0; }

    set_real_ip_from unix:;
    real_ip_header X-Real-IP;
`

	// What a route that is https_only asks. The edge says how the request came; one that did not say https came
	// without. The application's own Strict-Transport-Security, where it sends one, is the one that counts.
	plainText = `
    map "$http_x_forwarded_proto $request_method" $lain_plain { "~^https " ""; "~ (GET|HEAD)$" read; default write; }
    map "$http_x_forwarded_proto $upstream_http_strict_transport_security" $lain_hsts { "https " "max-age=15552000"; default ""; }
`

	// The numbers are not quoted; $lain_status has no leading zeros, which JSON would refuse.
	logText = `
    log_format lain escape=json '{"time":"$time_iso8601","app":"$lain_app","proc":"$lain_proc",'
        '"status":$lain_status,"method":"$request_method","host":"$host","uri":"$request_uri",'
        '"request_time":$request_time,"upstream":"$upstream_addr","upstream_status":"$upstream_status",'
        '"upstream_connect_time":"$upstream_connect_time","upstream_header_time":"$upstream_header_time",'
        '"upstream_response_time":"$upstream_response_time","bytes_in":$request_length,"bytes_out":$bytes_sent,'
        '"client":"$remote_addr","user_agent":"$http_user_agent","referer":"$http_referer","request_id":"$http_x_request_id"}';
`

	// A call that could not be connected goes to the next endpoint. The keys of the log are those of HTTP as far as a stream
	// knows them.
	streamText = `
    log_format lain escape=json '{"time":"$time_iso8601","app":"$lain_app","proc":"$lain_proc","protocol":"grpc",'
        '"status":$status,"request_time":$session_time,"upstream":"$upstream_addr","upstream_connect_time":"$upstream_connect_time",'
        '"bytes_in":$bytes_received,"bytes_out":$bytes_sent}';
    tcp_nodelay on;
    proxy_connect_timeout 1s;
    proxy_timeout 2h;
    proxy_next_upstream on;
    proxy_next_upstream_tries 3;
    proxy_socket_keepalive on;
`

	// Hash sizes: names of 253 bytes have to fit into a bucket. Bodies are read whole before an endpoint is
	// chosen, so that a request can go to the next one as long as no byte of it was sent. Idle connections
	// to an application are given up after a second: before any common server would close them on its
	// side, which a POST on its way would not survive.
	httpText = `
    etag off;
    absolute_redirect off;
    uninitialized_variable_warn off;
    server_names_hash_max_size 65536;
    server_names_hash_bucket_size 512;

    proxy_http_version 1.1;
    proxy_redirect off;
    proxy_connect_timeout 1s;
    proxy_read_timeout 90s;
    proxy_send_timeout 90s;
    proxy_request_buffering on;
    proxy_buffer_size 16k;
    proxy_buffers 8 16k;
    proxy_socket_keepalive on;
    proxy_next_upstream error timeout http_502 http_503;
    proxy_next_upstream_tries 3;
    proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;

    proxy_set_header Host $lain_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;
    proxy_set_header X-Forwarded-Host $lain_host;
    proxy_set_header X-Forwarded-Port $http_x_forwarded_port;
    proxy_set_header X-Original-URI $request_uri;
    proxy_set_header X-Request-ID $http_x_request_id;
    proxy_set_header Upgrade $lain_upgrade;
    proxy_set_header Connection $lain_connection;
    proxy_set_header Forwarded "";
    proxy_set_header Proxy "";
`
)

// Stripped are the headers of ours that a client's request loses on its way to an application. nginx has
// no patterns for header names: a new X-Lain header has to be added here before anything believes in it.
var Stripped = []string{
	"X-Lain-App", "X-Lain-Proc", "X-Lain-Release", "X-Lain-Cluster", "X-Lain-Node",
	"X-Lain-User", "X-Lain-Person", "X-Lain-Role", "X-Lain-Token", "X-Lain-Client", "X-Lain-Request-ID",
}

// The pages that the router answers itself, as variables: each is written once. They name nothing.
const pagesText = `
    map "" $lain_page_unknown { default "<!doctype html><title>No application here</title><h1>No application here</h1><p>Nothing is served under this address."; }
    map "" $lain_page_path { default "<!doctype html><title>Nothing here</title><h1>Nothing here</h1><p>No part of the application serves this path."; }
    map "" $lain_page_secure { default "<!doctype html><title>Only over HTTPS</title><h1>Only over HTTPS</h1><p>This is served over HTTPS only, which is switched off here at the moment."; }
    map "" $lain_page_empty { default "<!doctype html><title>Not available</title><h1>Not available</h1><p>The application has no running instance at the moment. Try again soon."; }
`

// pageBroken is the one of them that the edge has as well.
const pageBroken = `
    map "" $lain_page_broken { default "<!doctype html><title>No answer</title><h1>No answer</h1><p>The application did not answer."; }
`
